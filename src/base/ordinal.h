// Ordinal<Tag>: a strong 64-bit number with no way back by accident. The difference of two ordinals
// is a count; their sum does not compile.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace farshore {

template <class Tag>
class Ordinal {
 public:
  constexpr Ordinal() = default;
  constexpr explicit Ordinal(std::uint64_t value) : value_(value) {}

  constexpr std::uint64_t value() const { return value_; }
  constexpr Ordinal next() const { return Ordinal(value_ + 1); }
  constexpr Ordinal previous() const { return Ordinal(value_ - 1); }
  constexpr Ordinal plus(std::uint64_t count) const { return Ordinal(value_ + count); }

  friend constexpr std::uint64_t operator-(Ordinal a, Ordinal b) { return a.value_ - b.value_; }
  friend constexpr auto operator<=>(Ordinal, Ordinal) = default;

 private:
  std::uint64_t value_ = 0;
};

}  // namespace farshore

template <class Tag>
struct std::hash<farshore::Ordinal<Tag>> {
  std::size_t operator()(farshore::Ordinal<Tag> ordinal) const noexcept { return ordinal.value(); }
};

template <class Tag>
struct fmt::formatter<farshore::Ordinal<Tag>> : fmt::formatter<std::uint64_t> {
  auto format(farshore::Ordinal<Tag> ordinal, fmt::format_context& context) const {
    return fmt::formatter<std::uint64_t>::format(ordinal.value(), context);
  }
};
