#include "link/reassembly.h"

#include <utility>

namespace farshore::link {
namespace {

std::uint64_t charge_of(const FrameHeader& header) {
  return header.type == FrameType::data ? header.payload_bytes + kFrameCharge : 0;
}

}  // namespace

// The opener's peer numbers its own direction from 0 too, but sends no open: its 0 is data or
// close.
Reassembly::Reassembly(bool opened_by_us) : opening_(!opened_by_us) {}

Result<void> Reassembly::admit(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (closed_ || header.sequence < expected_ || early_.contains(header.sequence))
    return permanent(ErrorKind::corrupt, "channel {} got its frame {} twice", header.channel,
                     header.sequence);
  // Open and close cost no credit, so at most one of each may come, and a close that waits is
  // small.
  if ((header.type == FrameType::open && header.sequence != 0) ||
      (header.type == FrameType::close && (close_came_ || frame.payload.size() > kReasonMax + 2)))
    return permanent(ErrorKind::corrupt, "channel {} got an open or close out of place",
                     header.channel);
  if (header.type == FrameType::close) close_came_ = true;
  const std::uint64_t charge = charge_of(header);
  if (charge > credit_)
    return permanent(ErrorKind::corrupt, "channel {} got {} bytes more than its window",
                     header.channel, charge - credit_);
  credit_ -= charge;
  held_ += charge;
  return {};
}

Result<Reassembly::Progress> Reassembly::take(const Frame& frame) {
  FARSHORE_TRY(admit(frame));
  Progress progress;
  if (frame.header.sequence != expected_) {
    early_.emplace(frame.header.sequence, Piece{frame.header, Bytes(frame.payload)});
    return progress;
  }
  FARSHORE_TRY(apply(frame.header, frame.payload, progress));
  for (auto at = early_.begin(); at != early_.end() && at->first == expected_;
       at = early_.erase(at))
    FARSHORE_TRY(apply(at->second.header, at->second.payload, progress));
  return progress;
}

Result<void> Reassembly::apply(const FrameHeader& header, ByteView payload, Progress& progress) {
  if (closed_)
    return permanent(ErrorKind::corrupt, "channel {} got a frame after its close", header.channel);
  if (opening_ != (header.type == FrameType::open))
    return permanent(ErrorKind::corrupt, "channel {} was opened {}", header.channel,
                     opening_ ? "never" : "twice");
  ++expected_;
  if (header.type == FrameType::open) {
    FARSHORE_TRY_ASSIGN(progress.opened, decode_open(payload));
    opening_ = false;
  } else if (header.type == FrameType::close) {
    FARSHORE_TRY_ASSIGN(progress.closed, decode_reason(payload));
    closed_ = true;
  } else if (discarding_) {
    held_ -= charge_of(header);
  } else {
    if (partial_.bytes.size() + payload.size() > kMessageMax)
      return permanent(ErrorKind::corrupt, "channel {} got a message over {} bytes", header.channel,
                       kMessageMax);
    partial_.bytes.append(payload);
    partial_.charge += charge_of(header);
    if ((header.flags & kMessageEnd) == 0) return {};
    messages_.push_back(std::exchange(partial_, {}));
    progress.messages = true;
  }
  return {};
}

std::optional<Reassembly::Message> Reassembly::next() {
  if (messages_.empty()) return std::nullopt;
  Message message = std::move(messages_.front());
  messages_.pop_front();
  held_ -= message.charge;
  return message;
}

void Reassembly::discard() {
  discarding_ = true;
  for (const Message& message : messages_) held_ -= message.charge;
  held_ -= partial_.charge;
  messages_.clear();
  partial_ = {};
}

}  // namespace farshore::link
