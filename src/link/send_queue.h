// SendQueue: what the channels of a session want to send, and whose turn it is. Strict priority by
// class, round robin among the channels of a class, one frame at a time; data only within the
// credit that the peer gave. Pure.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "link/frame.h"

namespace farshore::link {

// What a frame costs of its channel's credit beside its payload: empty messages take memory too.
constexpr std::uint64_t kFrameCharge = 64;
constexpr std::uint64_t kInitialCredit =
    64_KiB;  // of an opener, before the acceptor gave its window
constexpr std::uint64_t kCreditMax = 1ULL << 48;
// Longer messages are cut, so that bulk never holds a control frame back for more than this.
constexpr std::size_t kFrameCut = 60_KiB;
static_assert(kFrameCut + kFrameCharge <= kInitialCredit && kFrameCut <= kFramePayloadMax);

struct OutgoingFrame {
  FrameHeader header;
  std::shared_ptr<const Bytes> bytes;  // the whole message
  std::size_t offset = 0;              // of this frame's payload in it
  ByteView payload() const { return ByteView(*bytes).substr(offset, header.payload_bytes); }
};

class SendQueue {
 public:
  void add(std::uint32_t channel, Class klass, std::uint64_t credit);
  bool has(std::uint32_t channel) const { return channels_.contains(channel); }
  void push(std::uint32_t channel, FrameType type,
            std::shared_ptr<const Bytes> bytes);  // open, data, close
  void set_class(std::uint32_t channel, Class klass);
  // Takes back what was not begun of the channel's data. The peer reads no more of it.
  void drop_data(std::uint32_t channel);
  // corrupt: the sum is not believable. An unknown channel is one that has closed.
  Result<void> add_credit(std::uint32_t channel, std::uint64_t bytes);

  bool ready() const;
  // Numbers the frame. A channel is forgotten with its close.
  std::optional<OutgoingFrame> next();
  // A frame of next() has been written to a connection.
  void written(const OutgoingFrame& frame);

  std::uint64_t queued_bytes() const { return queued_bytes_; }  // pushed, not yet written
  std::uint64_t ready_bytes() const { return ready_bytes_; }  // of the channels whose turn may come
  std::uint64_t queued_bytes(std::uint32_t channel) const;

 private:
  struct Item {
    FrameType type;
    std::shared_ptr<const Bytes> bytes;
  };
  struct Channel {
    Class klass = Class::stream;
    std::uint64_t credit = 0;
    std::uint64_t sequence = 0;
    std::deque<Item> items;
    std::size_t offset = 0;    // sent of the first item
    std::uint64_t queued = 0;  // pushed, not yet written
    std::uint64_t unsent = 0;  // pushed, not yet taken by next()
    bool ready = false;        // in its class's ring
  };

  static bool may_send(const Channel& channel);
  void update_ring(std::uint32_t id, Channel& channel);
  void leave_ring(std::uint32_t id, Channel& channel);

  std::map<std::uint32_t, Channel> channels_;
  std::array<std::deque<std::uint32_t>, 4> rings_;
  std::uint64_t queued_bytes_ = 0, ready_bytes_ = 0;
};

}  // namespace farshore::link
