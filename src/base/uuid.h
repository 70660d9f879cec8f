// Uuid: RFC 4122 identity of a stream or an agent's incarnation.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace farshore {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  static Uuid from_random(std::uint64_t high, std::uint64_t low);  // version 4
  static Result<Uuid> parse(std::string_view text);                // with or without dashes
  std::string text() const;                                        // 8-4-4-4-12, lower case
  std::string short_text() const;  // first 8 hex digits: for names of slots and files
  bool is_nil() const { return *this == Uuid{}; }
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

}  // namespace farshore
