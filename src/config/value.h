// Values of the file: from text to a field of a struct and back. show_value(read_value(text)) means
// the same as the text, and reads back to the same field: differences and definitions are compared
// by it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/units.h"
#include "base/uuid.h"
#include "config/config.h"

namespace farshore::config {

constexpr std::size_t kNameMax = 63;  // a DNS label, and what fits a PostgreSQL name

// What a text must look like, beyond what its field's type says.
enum class Form : std::uint8_t {
  value,  // nothing more: the field's type says all
  name,   // of a region, site or stream; also a reference to one
  engine,
  address,  // host:port
  path,
  connection,   // libpq connection string
  environment,  // name of a variable
  pattern,      // of tables
  list,         // no field: read by hand
};

// An enum as its words, in the order of its values.
struct Choice {
  std::span<const std::string_view> words;
  std::function<std::size_t()> get;
  std::function<void(std::size_t)> set;
};

template <class Enum>
Choice choice(Enum& field, std::span<const std::string_view> words) {
  return {words, [&field] { return static_cast<std::size_t>(field); },
          [&field](std::size_t index) { field = static_cast<Enum>(index); }};
}

// double: percent.
using Field =
    std::variant<std::string*, Duration*, std::uint64_t*, double*, int*, bool*, Uuid*, Choice>;

// Both ends are allowed; empty: no bound. In the text form of the value.
struct Bounds {
  std::string_view min;
  std::string_view max;
};

std::string text_of(const Bounds& bounds);  // "1s to 30d", "at least 64MiB"

// Sets the field, or says what is wrong with the text (it does not repeat a connection string: that
// may be a secret).
Result<void> read_value(const Field& field, Form form, const Bounds& bounds, std::string_view text);
std::string show_value(const Field& field);
std::string type_of(const Field& field, Form form);  // "duration", "refuse or keep or replace"

// "; did you mean 'x'?", or nothing when no word of `known` is near.
std::string suggestion(std::string_view typed, std::span<const std::string_view> known);

// Parts of an address "host:port" or "[v6]:port".
struct Address {
  std::string host;
  int port = 0;
};
Result<Address> parse_address(std::string_view text);
bool is_loopback(std::string_view host);  // a literal of 127.0.0.0/8 or ::1, or localhost

}  // namespace farshore::config
