// Payloads of the frames that are not data. Twins: encode and decode. Bytes: docs/formats/link.md.
#pragma once

#include "base/result.h"
#include "link/link.h"

namespace farshore::link {

constexpr std::size_t kKeepalivePayloadMax = 64_KiB;
constexpr std::size_t kChannelNameMax = 1_KiB;
constexpr std::size_t kReasonMax = 1_KiB;

struct Keepalive {
  std::uint64_t id = 0;  // rises within a connection and direction
  bool has_totals = false;
  Bytes totals;  // what the agents tell each other; only where has_totals
  friend bool operator==(const Keepalive&, const Keepalive&) = default;
};

// The peer's side of an NTP exchange.
struct KeepaliveAnswer {
  std::uint64_t id = 0;
  WallTime received_at{}, answered_at{};  // the answering side's wall clock
  Duration held{};                        // between the two, by its monotonic clock
  friend bool operator==(const KeepaliveAnswer&, const KeepaliveAnswer&) = default;
};

struct Open {
  Class klass = Class::stream;
  std::uint64_t credit = 0;  // bytes that the acceptor may send before it is given more
  std::string name;
  friend bool operator==(const Open&, const Open&) = default;
};

Bytes encode(const Keepalive& keepalive);
Bytes encode(const KeepaliveAnswer& answer);
Bytes encode(const Open& open);
Bytes encode_credit(std::uint64_t bytes);
Bytes encode_reason(std::string_view reason);  // of close and end; cut at kReasonMax

// corrupt: names the frame.
Result<Keepalive> decode_keepalive(ByteView bytes);
Result<KeepaliveAnswer> decode_keepalive_answer(ByteView bytes);
Result<Open> decode_open(ByteView bytes);
Result<std::uint64_t> decode_credit(ByteView bytes);
Result<std::string> decode_reason(ByteView bytes);

}  // namespace farshore::link
