// Inbox: the channels of a session as their readers see them: frames of all connections come in,
// whole messages go out in order, and credit goes back to the peer as messages are taken. Any
// thread.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "link/outbox.h"
#include "link/reassembly.h"

namespace farshore::link {

constexpr std::size_t kChannelsMax = 4096;  // that either side may have open
// The least window: a message must fit even while an eighth of the window's credit was not given
// back yet.
constexpr std::uint64_t kWindowMin = 5_MiB;
static_assert(kWindowMin / 8 * 7 >= kMessageMax + (kMessageMax / kFrameCut + 1) * kFrameCharge);
// A window holds what is on its way at 2 Gbit/s besides; more would only fill memory when a reader
// is slow.
constexpr std::uint64_t kWindowBytesPerMicrosecond = 250;
constexpr std::uint64_t kSessionWindow =
    1_GiB;  // shared by many channels: each gets less, never below kWindowMin
constexpr std::uint64_t kSessionHeldMax =
    2_GiB;  // received and not taken, over all channels: the session ends

class Inbox {
 public:
  struct Opened {
    std::uint32_t channel = 0;
    Open open;
  };

  // `ours_first`: 1 for the session's owner, 2 for the other side; the ids of ours rise from there
  // by two.
  Inbox(Outbox& outbox, std::uint64_t window, std::uint32_t ours_first);

  Result<std::uint32_t> open(const std::string& name, Class klass);
  // A frame of type open, data or close. What it opened is to be handed to whoever waits for
  // channels. corrupt: the peer breaks the protocol or a limit; the session must end.
  Result<std::optional<Opened>> take(const Frame& frame);
  // unavailable: the session ended, or the peer closed the channel and all its messages were taken.
  Result<Bytes> receive(std::uint32_t channel, Deadline deadline);
  void close(std::uint32_t channel);
  void set_round_trip(Duration rtt);  // for the windows, as credit is given from now on
  void end(Error error);

 private:
  struct Channel {
    explicit Channel(bool ours) : reassembly(ours) {}
    Reassembly reassembly;
    os::CondVar changed;
    int waiting = 0;
    bool closed_here = false;
    std::optional<std::string> closed_by_peer;
  };

  bool is_ours(std::uint32_t channel) const { return channel % 2 == ours_parity_; }
  Result<Channel*> channel_of(const FrameHeader& header);
  std::uint64_t window_locked() const;
  void give_credit(std::uint32_t id, Channel& channel);
  void forget_if_done(std::uint32_t id);

  Outbox& outbox_;
  const std::uint64_t window_max_;
  const std::uint32_t ours_parity_;
  os::Mutex mutex_;
  std::map<std::uint32_t, std::shared_ptr<Channel>> channels_;
  std::size_t ours_ = 0, theirs_ = 0;
  std::uint32_t next_;
  std::uint64_t held_ = 0;
  Duration rtt_{};  // zero: not yet known
  std::optional<Error> ended_;
};

}  // namespace farshore::link
