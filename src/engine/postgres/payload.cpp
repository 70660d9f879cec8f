#include "engine/postgres/payload.h"

namespace farshore::postgres {

Result<void> PayloadReader::feed(ByteView payload, bool continued) {
  if (!payload_.empty())
    return permanent(ErrorKind::corrupt, "a record was passed over with {} bytes of it unread",
                     payload_.size());
  payload_ = payload;
  continued_ = continued;
  return {};
}

Result<std::optional<ByteView>> PayloadReader::next() {
  if (std::exchange(cut_given_, false)) cut_.clear();
  if (missing_ > 0) return next_part();
  if (payload_.empty()) {
    if (std::exchange(continued_, false))
      return permanent(ErrorKind::corrupt, "a record is flagged continued, but no message is cut");
    return std::optional<ByteView>();
  }
  ByteReader reader(payload_);
  const auto length = reader.number<std::uint32_t>();
  if (reader.failed() || length == 0 || length > kMessageMax)
    return permanent(ErrorKind::corrupt,
                     "a message has no valid length: {} bytes are left, {} said", payload_.size(),
                     length);
  payload_.remove_prefix(sizeof length);
  if (length > payload_.size()) {
    if (!continued_)
      return permanent(ErrorKind::corrupt, "a message of {} bytes ends after {}", length,
                       payload_.size());
    missing_ = length;
    return next_part();
  }
  ByteView message = payload_.substr(0, length);
  payload_.remove_prefix(length);
  return std::optional(message);
}

Result<std::optional<ByteView>> PayloadReader::next_part() {
  const std::size_t count = std::min<std::uint64_t>(missing_, payload_.size());
  cut_.append(payload_.substr(0, count));
  payload_.remove_prefix(count);
  missing_ -= count;
  if (missing_ == 0) {
    cut_given_ = true;
    return std::optional(ByteView(cut_));
  }
  // The record ended first: it must have said so.
  if (count > 0 && !std::exchange(continued_, false))
    return permanent(ErrorKind::corrupt,
                     "a message lacks {} bytes, but its record is not continued", missing_);
  return std::optional<ByteView>();
}

void PayloadReader::reset() {
  payload_ = {};
  continued_ = false;
  cut_.clear();
  cut_.shrink_to_fit();
  missing_ = 0;
  cut_given_ = false;
}

}  // namespace farshore::postgres
