#include "cli/figures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace farshore::cli {
namespace {

const std::string kUnknown = "unknown";

template <class T>
Cell cell(const std::optional<T>& value, std::string text) {
  return {std::move(text), value ? Colour::none : Colour::yellow};
}

}  // namespace

std::string duration_text(const std::optional<Duration>& d) {
  return d ? format_duration(*d) : kUnknown;
}

std::string bytes_text(const std::optional<double>& bytes) {
  return bytes ? format_bytes(static_cast<std::uint64_t>(std::max(0.0, std::round(*bytes))))
               : kUnknown;
}

std::string count_text(const std::optional<double>& count) {
  if (!count) return kUnknown;
  const char* suffix = "";
  double value = *count;
  for (const char* larger : {"k", "M", "G"}) {
    if (std::abs(value) < 999.5) break;
    value /= 1000;
    suffix = larger;
  }
  const bool fraction = std::abs(value) < 9.95 && std::abs(value - std::round(value)) >= 0.05;
  return fraction ? fmt::format("{:.1f}{}", value, suffix) : fmt::format("{:.0f}{}", value, suffix);
}

std::string counted_text(const std::optional<double>& count, const std::string& one) {
  const std::string text = count_text(count);
  return text + " " + one + (text == "1" ? "" : "s");
}

std::string offset_text(const std::optional<Duration>& offset, const std::optional<Duration>& bound,
                        bool unicode) {
  if (!offset) return kUnknown;
  const std::string sign = *offset < Duration::zero() ? "" : "+";
  return sign + format_duration(*offset) +
         (bound ? (unicode ? " ±" : " +-") + format_duration(*bound) : "");
}

Cell duration_cell(const std::optional<Duration>& d) {
  return cell(d, duration_text(d));
}
Cell bytes_cell(const std::optional<double>& bytes) {
  return cell(bytes, bytes_text(bytes));
}
Cell count_cell(const std::optional<double>& count) {
  return cell(count, count_text(count));
}

Colour colour_of_state(const std::string& state) {
  if (state == "streaming" || state == "good" || state == "connected") return Colour::green;
  if (state == "starting" || state == "copying" || state == "draining") return Colour::cyan;
  if (state == "failed" || state == "damaged" || state == "error") return Colour::red;
  if (state == "stopped" || state == "note" || state == "info") return Colour::dim;
  return Colour::yellow;  // paused, degraded, config-differs, full, warning, and words of a newer
                          // agent
}

// An unknown or empty one takes nobody's place.
std::string worse_state(const std::string& a, const std::string& b) {
  constexpr std::array<std::string_view, 9> kAscending = {"stopped",        "draining", "streaming",
                                                          "paused",         "copying",  "starting",
                                                          "config-differs", "degraded", "failed"};
  const auto rank = [&](const std::string& state) {
    const auto found = std::find(kAscending.begin(), kAscending.end(), state);
    return found == kAscending.end() ? -1 : found - kAscending.begin();
  };
  return rank(b) > rank(a) ? b : a;
}

std::string arrow(const Terminal& terminal) {
  return terminal.unicode ? " → " : " -> ";
}

}  // namespace farshore::cli
