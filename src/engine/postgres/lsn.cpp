#include "engine/postgres/lsn.h"

#include <charconv>

#include "base/bytes.h"

namespace farshore::postgres {
namespace {

constexpr Duration kServerEpoch = 946'684'800s;  // 2000-01-01 after 1970-01-01

bool parse_hex(std::string_view text, std::uint32_t& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Result<Lsn> Lsn::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  if (slash == std::string_view::npos || !parse_hex(text.substr(0, slash), high) ||
      !parse_hex(text.substr(slash + 1), low))
    return permanent(ErrorKind::invalid, "'{}' is no LSN; one looks like 0/16B3748", text);
  return Lsn(static_cast<std::uint64_t>(high) << 32 | low);
}

Result<Lsn> Lsn::from(const Position& position) {
  if (position.empty()) return Lsn();
  ByteReader reader(position.bytes);
  const Lsn lsn(reader.number<std::uint64_t>());
  const std::size_t size = position.bytes.size();
  if (size != 8 && size != 16)
    return permanent(ErrorKind::invalid, "a PostgreSQL position has 8 or 16 bytes, this one has {}",
                     size);
  return lsn;
}

std::string Lsn::text() const {
  return fmt::format("{:X}/{:X}", value_ >> 32, value_ & 0xFFFF'FFFF);
}

Position Lsn::position() const {
  Position position;
  ByteWriter(position.bytes).number(value_);
  return position;
}

WallTime from_server_time(std::int64_t microseconds) {
  return WallTime(kServerEpoch + std::chrono::microseconds(microseconds));
}

std::int64_t to_server_time(WallTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch() -
                                                               kServerEpoch)
      .count();
}

}  // namespace farshore::postgres
