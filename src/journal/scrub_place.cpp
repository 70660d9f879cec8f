#include "journal/scrub_place.h"

#include "base/checksum.h"

namespace farshore::journal {
namespace {

constexpr ByteView kMagic{"FSJSCR\r\n", 8};
constexpr std::uint32_t kVersion = 1;

std::string path_in(const std::string& folder) {
  return folder + "/scrubbed";
}

}  // namespace

Bytes encode_scrub_place(Sequence through) {
  Bytes out;
  ByteWriter writer(out);
  writer.raw(kMagic).number(kVersion).number(through.value());
  writer.number(crc32c(out));
  return out;
}

std::optional<Sequence> decode_scrub_place(ByteView bytes) {
  ByteReader in(bytes);
  const ByteView magic = in.raw(kMagic.size());
  const auto version = in.number<std::uint32_t>();
  const Sequence through(in.number<std::uint64_t>());
  const auto crc = in.number<std::uint32_t>();
  if (!in.finished() || magic != kMagic || version != kVersion) return std::nullopt;
  if (crc != crc32c(bytes.substr(0, bytes.size() - sizeof crc))) return std::nullopt;
  return through;
}

std::optional<Sequence> load_scrub_place(os::Files& files, const std::string& folder) {
  const auto bytes = os::read_file(files, path_in(folder));
  return bytes ? decode_scrub_place(*bytes) : std::nullopt;
}

Result<void> save_scrub_place(os::Files& files, const std::string& folder, Sequence through) {
  return os::replace_file(files, path_in(folder), encode_scrub_place(through));
}

}  // namespace farshore::journal
