#include "journal/scrub_place.h"

#include "journal/checked_file.h"

namespace farshore::journal {
namespace {

constexpr CheckedForm kScrubPlaceForm{{"FSJSCR\r\n", 8}, 1, "place of the scrub"};

std::string scrub_place_path(const std::string& folder) {
  return folder + "/scrubbed";
}

}  // namespace

Bytes encode_scrub_place(Sequence through) {
  Bytes out;
  begin_checked(kScrubPlaceForm, out).number(through.value());
  seal_checked(out);
  return out;
}

std::optional<Sequence> decode_scrub_place(ByteView bytes) {
  auto in = open_checked(kScrubPlaceForm, bytes);
  if (!in) return std::nullopt;
  const Sequence through(in->number<std::uint64_t>());
  return in->finished() ? std::optional(through) : std::nullopt;
}

std::optional<Sequence> load_scrub_place(os::Files& files, const std::string& folder) {
  const auto bytes = os::read_file(files, scrub_place_path(folder));
  return bytes ? decode_scrub_place(*bytes) : std::nullopt;
}

Result<void> save_scrub_place(os::Files& files, const std::string& folder, Sequence through) {
  return os::replace_file(files, scrub_place_path(folder), encode_scrub_place(through));
}

}  // namespace farshore::journal
