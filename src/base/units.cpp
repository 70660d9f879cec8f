#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <utility>

namespace farshore {
namespace {

using Unit = std::pair<std::string_view, double>;

constexpr std::array<Unit, 8> kDurationUnits{{{"ns", 1.0},
                                              {"us", 1e3},
                                              {"ms", 1e6},
                                              {"s", 1e9},
                                              {"m", 60e9},
                                              {"h", 3600e9},
                                              {"d", 86400e9},
                                              {"w", 604800e9}}};
constexpr std::array<Unit, 9> kByteUnits{{{"B", 1.0},
                                          {"KiB", 1024.0},
                                          {"MiB", 1048576.0},
                                          {"GiB", 1073741824.0},
                                          {"TiB", 1099511627776.0},
                                          {"kB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12}}};

template <std::size_t N>
Result<double> parse_with_unit(std::string_view text, const std::array<Unit, N>& units,
                               std::string_view example) {
  double number = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
  if (failure == std::errc() && number >= 0 && std::isfinite(number)) {
    for (const auto& [name, factor] : units)
      if (suffix == name && number * factor < 9.2e18) return number * factor;
  }
  return permanent(ErrorKind::invalid, "'{}' is not understood: write a number and a unit, like {}",
                   text, example);
}

constexpr std::int64_t kWallSecondsMax = INT64_MAX / 1'000'000'000;  // of a WallTime, to 2262

// Seconds east of UTC: "Z", "+02:00".
std::optional<std::int64_t> parse_offset(std::string_view text) {
  if (text == "Z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  for (const std::size_t at : {1U, 2U, 4U, 5U})
    if (text[at] < '0' || text[at] > '9') return std::nullopt;
  const auto two = [&](std::size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); };
  const int east = two(1) * 3600 + two(4) * 60;
  return text[0] == '-' ? -east : east;
}

}  // namespace

std::string format_duration(Duration d) {
  if (d < Duration::zero()) return "-" + format_duration(-d);
  const double s = seconds_of(d);
  if (d < 1ms) return fmt::format("{:.0f}us", s * 1e6);
  if (d < 1s) return fmt::format("{:.0f}ms", s * 1e3);
  if (d < 10s) return fmt::format("{:.1f}s", s);
  if (d < 1min) return fmt::format("{:.0f}s", s);
  const auto whole = static_cast<std::int64_t>(s);
  if (d < 1h) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (d < 24h) return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
  return fmt::format("{}d{}h", whole / 86400, whole % 86400 / 3600);
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < names.size()) value /= 1024, ++unit;
  const bool whole = value >= 100 || value == std::floor(value);
  return whole ? fmt::format("{:.0f}{}", value, names[unit])
               : fmt::format("{:.1f}{}", value, names[unit]);
}

std::string format_time(WallTime t) {
  const auto since = t.time_since_epoch();
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(since).count();
  const std::time_t whole = static_cast<std::time_t>(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, ms - whole * 1000);
}

Result<Duration> parse_duration(std::string_view text) {
  FARSHORE_TRY_ASSIGN(double nanoseconds,
                      parse_with_unit(text, kDurationUnits, "500ms, 10s or 24h"));
  return Duration(static_cast<std::int64_t>(std::llround(nanoseconds)));
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  FARSHORE_TRY_ASSIGN(double bytes, parse_with_unit(text, kByteUnits, "64KiB, 1GiB or 50GiB"));
  return static_cast<std::uint64_t>(std::llround(bytes));
}

Result<WallTime> parse_time(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) rest = strptime(copy.c_str(), "%Y-%m-%d %H:%M:%S", &parts);
  const Error bad =
      permanent(ErrorKind::invalid, "'{}' is not a time: write 2026-11-24T16:17:12Z", text);
  if (rest == nullptr) return bad;
  double fraction = 0;
  if (*rest == '.') {
    char* end = nullptr;
    fraction = std::strtod(rest, &end);
    rest = end;
  }
  const auto offset = parse_offset(rest);
  const int day = parts.tm_mday;
  const std::int64_t seconds = timegm(&parts) - offset.value_or(0);
  // Of the 31st of February timegm has made the 3rd of March.
  if (!offset || parts.tm_mday != day || std::abs(seconds) >= kWallSecondsMax) return bad;
  return WallTime(std::chrono::seconds(seconds) + Duration(std::llround(fraction * 1e9)));
}

}  // namespace farshore
