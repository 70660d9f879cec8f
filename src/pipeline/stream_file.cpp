#include "pipeline/stream_file.h"

#include "base/checksum.h"

namespace farshore::pipeline {
namespace {

constexpr ByteView kFileMagic = "FSSTREAM";
constexpr std::uint16_t kFileVersion = 1;

}  // namespace

Bytes encode_stream_file(const StreamFile& file) {
  Bytes out;
  ByteWriter(out)
      .raw(kFileMagic)
      .number(kFileVersion)
      .raw({reinterpret_cast<const char*>(file.stream.bytes.data()), 16})
      .string32(file.name)
      .number(file.epoch.value())
      .string32(file.identity)
      .number(static_cast<std::uint8_t>(file.copied))
      .string32(file.definition)
      .number(static_cast<std::uint8_t>(file.paused))
      .number(file.pause_at ? static_cast<std::int64_t>(file.pause_at->time_since_epoch().count())
                            : 0);
  ByteWriter(out).number(crc32c(out));
  return out;
}

Result<StreamFile> decode_stream_file(ByteView all, const std::string& path) {
  const Error damaged = permanent(ErrorKind::corrupt,
                                  "{} is damaged: move it away, and its stream is found again "
                                  "from the other region",
                                  path);
  if (all.size() < 4) return damaged;
  ByteReader checksum(all.substr(all.size() - 4));
  if (crc32c(all.substr(0, all.size() - 4)) != checksum.number<std::uint32_t>()) return damaged;
  ByteReader in(all.substr(0, all.size() - 4));
  if (in.raw(kFileMagic.size()) != kFileMagic) return damaged;
  if (const auto version = in.number<std::uint16_t>(); version != kFileVersion)
    return permanent(ErrorKind::corrupt, "{} has version {}, this build reads {}", path, version,
                     kFileVersion);
  StreamFile file;
  const ByteView uuid = in.raw(16);
  std::copy(uuid.begin(), uuid.end(), reinterpret_cast<char*>(file.stream.bytes.data()));
  file.name = in.string32();
  file.epoch = Epoch(in.number<std::uint64_t>());
  file.identity = in.string32();
  file.copied = in.number<std::uint8_t>() != 0;
  file.definition = in.string32();
  file.paused = in.number<std::uint8_t>() != 0;
  if (const auto at = in.number<std::int64_t>(); at != 0) file.pause_at = WallTime(Duration(at));
  if (!in.finished()) return damaged;
  return file;
}

Result<void> save_stream_file(os::Files& files, const std::string& path, const StreamFile& file) {
  return replace_file(files, path, encode_stream_file(file));
}

Result<std::optional<StreamFile>> load_stream_file(os::Files& files, const std::string& path) {
  auto bytes = read_file(files, path);
  if (!bytes.ok() && bytes.error().kind == ErrorKind::not_found) return std::optional<StreamFile>();
  if (!bytes.ok()) return std::move(bytes).error();
  FARSHORE_TRY_ASSIGN(StreamFile file, decode_stream_file(*bytes, path));
  return std::optional<StreamFile>(std::move(file));
}

}  // namespace farshore::pipeline
