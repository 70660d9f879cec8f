#include "base/uuid.h"

#include <cctype>

namespace farshore {

Uuid Uuid::from_random(std::uint64_t high, std::uint64_t low) {
  Uuid uuid;
  for (std::size_t i = 0; i < 8; ++i) {
    uuid.bytes[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
    uuid.bytes[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
  }
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  return uuid;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  Uuid uuid;
  std::size_t digits = 0;
  for (char c : text) {
    if (c == '-') continue;
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0 || digits == 32)
      return permanent(ErrorKind::invalid, "'{}' is not a UUID", text);
    const int value = c <= '9' ? c - '0' : std::tolower(c) - 'a' + 10;
    auto& byte = uuid.bytes[digits / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | value);
    ++digits;
  }
  if (digits != 32) return permanent(ErrorKind::invalid, "'{}' is not a UUID", text);
  return uuid;
}

std::string Uuid::text() const {
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", bytes[i]);
  }
  return out;
}

std::string Uuid::short_text() const {
  return text().substr(0, 8);
}

}  // namespace farshore
