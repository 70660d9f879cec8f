#include "cli/json_read.h"

#include <cmath>

namespace farshore::cli {

const Json& at(const Json& json, const std::string& path) {
  static const Json unknown;
  const Json* here = &json;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    if (!here->is_object() || !here->contains(name)) return unknown;
    here = &(*here)[name];
    begin = end + 1;
  }
  return *here;
}

std::string text_at(const Json& json, const std::string& path) {
  const Json& value = at(json, path);
  return value.is_string() ? plain(value.get<std::string>()) : std::string();
}

std::optional<double> number_at(const Json& json, const std::string& path) {
  const Json& value = at(json, path);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::optional<Duration> seconds_at(const Json& json, const std::string& path) {
  const auto seconds = number_at(json, path);
  constexpr double kSecondsMax = 9e9;  // what a Duration holds
  if (!seconds || std::abs(*seconds) > kSecondsMax) return std::nullopt;
  return Duration(std::llround(*seconds * 1e9));
}

std::optional<WallTime> time_at(const Json& json, const std::string& path) {
  const auto time = parse_time(text_at(json, path));
  return time.ok() ? std::optional(*time) : std::nullopt;
}

bool true_at(const Json& json, const std::string& path) {
  const Json& value = at(json, path);
  return value.is_boolean() && value.get<bool>();
}

std::string plain(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    const bool is_c1 = byte == 0xc2 && next >= 0x80 && next <= 0x9f;  // U+0080 to U+009F
    const bool is_c0 = (byte < ' ' && byte != '\n') || byte == 0x7f;
    out += is_c0 || is_c1 ? '?' : text[i];
    if (is_c1) ++i;
  }
  return out;
}

}  // namespace farshore::cli
