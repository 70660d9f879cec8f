// Reassembly: puts the frames of one channel and direction back into order and together, across
// connections. What it holds is bounded by the credit that was given. Pure; one thread.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "link/payload.h"
#include "link/send_queue.h"

namespace farshore::link {

class Reassembly {
 public:
  struct Message {
    Bytes bytes;
    std::uint64_t charge = 0;  // of credit
  };
  // What a frame completed, in order.
  struct Progress {
    std::optional<Open> opened;
    bool messages = false;              // some can be taken
    std::optional<std::string> closed;  // the peer's last: why
  };

  // The opener's own end gets no open frame: its peer's first frame is data or close.
  explicit Reassembly(bool opened_by_us);

  // corrupt: over the credit, out of protocol, a sequence twice.
  Result<Progress> take(const Frame& frame);
  void give_credit(std::uint64_t bytes) { credit_ += bytes; }

  std::optional<Message> next();
  std::uint64_t held_bytes() const { return held_; }             // received, not taken
  std::uint64_t outstanding() const { return credit_ + held_; }  // held, or allowed to come
  void discard();  // all that is held and all that comes: nobody reads any more

 private:
  struct Piece {
    FrameHeader header;
    Bytes payload;
  };

  Result<void> admit(const Frame& frame);
  Result<void> apply(const FrameHeader& header, ByteView payload, Progress& progress);

  std::uint64_t expected_ = 0;
  bool opening_;
  std::uint64_t credit_ = kInitialCredit;
  std::uint64_t held_ = 0;
  std::map<std::uint64_t, Piece> early_;  // by sequence
  Message partial_;
  std::deque<Message> messages_;
  bool close_came_ = false;  // perhaps early
  bool closed_ = false, discarding_ = false;
};

}  // namespace farshore::link
