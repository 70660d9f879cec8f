#include "engine/postgres/feedback.h"

#include <algorithm>

namespace farshore::postgres {
namespace {

void put_network_order(Bytes& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
}

}  // namespace

void Feedback::start(Lsn after, Lsn confirmed) {
  emitted_ = after;
  passed_ = near_ = far_ = released_ = Lsn();
  write_ = apply_ = Lsn();
  flush_ = confirmed_ = confirmed;
  settle();
}

bool Feedback::emitted(Lsn position) {
  if (position <= emitted_) return false;
  emitted_ = position;
  return true;
}

void Feedback::passed(Lsn position) {
  passed_ = std::max(passed_, position);
  settle();
}

void Feedback::acknowledged(Lsn near_durable, Lsn far_durable, Lsn released) {
  near_ = std::max(near_, std::min(near_durable, emitted_));
  far_ = std::max(far_, std::min(far_durable, emitted_));
  released_ = std::max(released_, std::min(released, emitted_));
  settle();
}

void Feedback::settle() {
  write_ = std::max(write_, level(near_));
  apply_ = std::max(apply_, level(far_));
  flush_ = std::max({flush_, std::min(released_, near_), bound()});
}

Lsn Feedback::bound() const {
  return Lsn(near_.value() > retain_max_ ? near_.value() - retain_max_ : 0);
}

std::optional<bool> Feedback::released_early() const {
  // A target that joined holds less than was confirmed before it came: that is not our doing.
  if (released_ > Lsn()) return bound() > released_;
  return flush_ > confirmed_ ? std::optional(true) : std::nullopt;
}

std::optional<Lsn> Feedback::place_due() const {
  return passed_ > emitted_ ? std::optional(passed_) : std::nullopt;
}

Bytes encode_status_update(const Reply& reply, WallTime now, bool reply_requested) {
  Bytes out = "r";
  put_network_order(out, reply.write.value());
  put_network_order(out, reply.flush.value());
  put_network_order(out, reply.apply.value());
  put_network_order(out, static_cast<std::uint64_t>(to_server_time(now)));
  out += reply_requested ? '\1' : '\0';
  return out;
}

}  // namespace farshore::postgres
