// Bytes: an owned run of bytes; ByteView: a borrowed one. ByteWriter and ByteReader are the twins
// by which every on-disk and wire format is written and read: fixed-width little-endian numbers,
// length-prefixed strings.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace farshore {

using Bytes = std::string;
using ByteView = std::string_view;

constexpr std::uint64_t operator""_KiB(unsigned long long n) {
  return n << 10;
}
constexpr std::uint64_t operator""_MiB(unsigned long long n) {
  return n << 20;
}
constexpr std::uint64_t operator""_GiB(unsigned long long n) {
  return n << 30;
}

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <class Integer>
  ByteWriter& number(Integer value) {
    static_assert(std::is_integral_v<Integer> || std::is_enum_v<Integer>);
    char raw[sizeof(Integer)];
    std::memcpy(raw, &value, sizeof raw);  // x86-64 and arm64 are little-endian
    out_.append(raw, sizeof raw);
    return *this;
  }
  ByteWriter& raw(ByteView bytes) { return out_.append(bytes), *this; }
  ByteWriter& string16(ByteView text) {
    return number(static_cast<std::uint16_t>(text.size())).raw(text);
  }
  ByteWriter& string32(ByteView text) {
    return number(static_cast<std::uint32_t>(text.size())).raw(text);
  }

 private:
  Bytes& out_;
};

// Reads never pass the end: a short input gives zeros and sets failed(), which the caller asks once
// at the end.
class ByteReader {
 public:
  explicit ByteReader(ByteView in) : in_(in) {}

  template <class Integer>
  Integer number() {
    Integer value{};
    if (ByteView bytes = raw(sizeof(Integer)); bytes.size() == sizeof(Integer))
      std::memcpy(&value, bytes.data(), sizeof(Integer));
    return value;
  }
  ByteView raw(std::size_t count) {
    if (count > in_.size()) {
      failed_ = true;
      in_ = {};
      return {};
    }
    ByteView bytes = in_.substr(0, count);
    in_.remove_prefix(count);
    return bytes;
  }
  ByteView string16() { return raw(number<std::uint16_t>()); }
  ByteView string32() { return raw(number<std::uint32_t>()); }
  ByteView rest() { return raw(in_.size()); }

  std::size_t left() const { return in_.size(); }
  bool failed() const { return failed_; }
  bool finished() const { return !failed_ && in_.empty(); }

 private:
  ByteView in_;
  bool failed_ = false;
};

}  // namespace farshore
