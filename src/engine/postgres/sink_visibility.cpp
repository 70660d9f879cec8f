#include "engine/postgres/sink_visibility.h"

#include <algorithm>
#include <charconv>

namespace farshore::postgres {
namespace {

bool take_number(std::string_view& text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, char mark) {
  if (text.empty() || text.front() != mark) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

Result<RowVisibility> RowVisibility::parse(std::string_view snapshot) {
  const auto wrong = [&] {
    return permanent(ErrorKind::invalid, "'{}' is not a snapshot of the form xmin:xmax:xip,...",
                     snapshot.substr(0, 200));
  };
  RowVisibility result;
  std::string_view rest = snapshot;
  if (!take_number(rest, result.xmin_) || !take(rest, ':') || !take_number(rest, result.xmax_) ||
      !take(rest, ':') || result.xmin_ > result.xmax_)
    return wrong();
  while (!rest.empty()) {
    std::uint64_t xid = 0;
    if (!result.running_.empty() && !take(rest, ',')) return wrong();
    if (!take_number(rest, xid)) return wrong();
    result.running_.push_back(xid);
  }
  std::sort(result.running_.begin(), result.running_.end());
  return result;
}

bool RowVisibility::shows(std::uint64_t xid) const {
  // The stream's id is the low half of the full one; of all full ids it is the one nearest to the
  // snapshot's.
  const auto low = static_cast<std::uint32_t>(xid);
  const auto distance = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(xmax_));
  if (distance >= 0) return false;
  const std::uint64_t full =
      xmax_ - static_cast<std::uint64_t>(-static_cast<std::int64_t>(distance));
  if (full < xmin_) return true;
  return !std::binary_search(running_.begin(), running_.end(), full);
}

}  // namespace farshore::postgres
