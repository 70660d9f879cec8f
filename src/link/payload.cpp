#include "link/payload.h"

namespace farshore::link {
namespace {

std::int64_t nanoseconds_of(WallTime time) {
  return time.time_since_epoch().count();
}

Error malformed_payload(const char* frame, ByteView bytes) {
  return permanent(ErrorKind::corrupt, "{} frame with a malformed payload of {} bytes", frame,
                   bytes.size());
}

}  // namespace

Bytes encode(const Keepalive& keepalive) {
  FARSHORE_CHECK(keepalive.totals.size() <= kKeepalivePayloadMax, "keepalive of {} bytes",
                 keepalive.totals.size());
  Bytes out;
  ByteWriter(out)
      .number(keepalive.id)
      .number(static_cast<std::uint8_t>(keepalive.has_totals))
      .raw(keepalive.totals);
  return out;
}

Bytes encode(const KeepaliveAnswer& answer) {
  Bytes out;
  ByteWriter(out)
      .number(answer.id)
      .number(nanoseconds_of(answer.received_at))
      .number(nanoseconds_of(answer.answered_at))
      .number(static_cast<std::int64_t>(answer.held.count()));
  return out;
}

Bytes encode(const Open& open) {
  FARSHORE_CHECK(open.name.size() <= kChannelNameMax, "channel name of {} bytes", open.name.size());
  Bytes out;
  ByteWriter(out).number(open.klass).number(open.credit).string16(open.name);
  return out;
}

Bytes encode_credit(std::uint64_t bytes) {
  Bytes out;
  ByteWriter(out).number(bytes);
  return out;
}

Bytes encode_reason(std::string_view reason) {
  Bytes out;
  ByteWriter(out).string16(reason.substr(0, kReasonMax));
  return out;
}

Result<Keepalive> decode_keepalive(ByteView bytes) {
  ByteReader in(bytes);
  Keepalive keepalive;
  keepalive.id = in.number<std::uint64_t>();
  const auto has_totals = in.number<std::uint8_t>();
  keepalive.has_totals = has_totals == 1;
  keepalive.totals = in.rest();
  if (in.failed() || has_totals > 1 || keepalive.totals.size() > kKeepalivePayloadMax ||
      (!keepalive.has_totals && !keepalive.totals.empty()))
    return malformed_payload("keepalive", bytes);
  return keepalive;
}

Result<KeepaliveAnswer> decode_keepalive_answer(ByteView bytes) {
  ByteReader in(bytes);
  KeepaliveAnswer answer;
  answer.id = in.number<std::uint64_t>();
  answer.received_at = WallTime(Duration(in.number<std::int64_t>()));
  answer.answered_at = WallTime(Duration(in.number<std::int64_t>()));
  answer.held = Duration(in.number<std::int64_t>());
  if (!in.finished()) return malformed_payload("keepalive answer", bytes);
  return answer;
}

Result<Open> decode_open(ByteView bytes) {
  ByteReader in(bytes);
  Open open;
  const auto klass = in.number<std::uint8_t>();
  open.credit = in.number<std::uint64_t>();
  open.name = in.string16();
  if (!in.finished() || klass > static_cast<std::uint8_t>(Class::copy) ||
      open.name.size() > kChannelNameMax)
    return malformed_payload("open", bytes);
  open.klass = static_cast<Class>(klass);
  return open;
}

Result<std::uint64_t> decode_credit(ByteView bytes) {
  ByteReader in(bytes);
  const auto credit = in.number<std::uint64_t>();
  if (!in.finished()) return malformed_payload("credit", bytes);
  return credit;
}

Result<std::string> decode_reason(ByteView bytes) {
  ByteReader in(bytes);
  std::string reason(in.string16());
  if (!in.finished() || reason.size() > kReasonMax) return malformed_payload("close", bytes);
  return reason;
}

}  // namespace farshore::link
