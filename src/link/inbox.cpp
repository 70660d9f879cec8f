#include "link/inbox.h"

#include <algorithm>

namespace farshore::link {

Inbox::Inbox(Outbox& outbox, std::uint64_t window, std::uint32_t ours_first)
    : outbox_(outbox),
      window_max_(std::max(window, kWindowMin)),
      ours_parity_(ours_first % 2),
      next_(ours_first) {}

std::uint64_t Inbox::window_locked() const {
  const std::uint64_t share = kSessionWindow / std::max<std::size_t>(channels_.size(), 1);
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(rtt_).count();
  const std::uint64_t under_way =
      static_cast<std::uint64_t>(microseconds) * kWindowBytesPerMicrosecond;
  return std::clamp(std::min(share, kWindowMin + under_way), kWindowMin, window_max_);
}

void Inbox::set_round_trip(Duration rtt) {
  os::Lock lock(mutex_);
  rtt_ = rtt;
}

Result<std::uint32_t> Inbox::open(const std::string& name, Class klass) {
  if (name.size() > kChannelNameMax)
    return permanent(ErrorKind::invalid, "channel name of {} bytes: the limit is {}", name.size(),
                     kChannelNameMax);
  os::Lock lock(mutex_);
  if (ended_) return *ended_;
  if (ours_ >= kChannelsMax)
    return transient(ErrorKind::unavailable, "{} channels are open to the peer: that is the limit",
                     ours_);
  const std::uint32_t id = next_;
  next_ += 2;
  FARSHORE_CHECK(next_ > id, "a session has used up its channel ids");
  ++ours_;
  auto channel = std::make_shared<Channel>(true);
  channels_.emplace(id, channel);
  const std::uint64_t credit = window_locked();
  channel->reassembly.give_credit(credit - kInitialCredit);
  outbox_.open(id, Open{.klass = klass, .credit = credit, .name = name});
  return id;
}

Result<Inbox::Channel*> Inbox::channel_of(const FrameHeader& header) {
  if (const auto at = channels_.find(header.channel); at != channels_.end())
    return at->second.get();
  if (header.channel == 0 || is_ours(header.channel))
    return permanent(ErrorKind::corrupt, "peer sends on channel {}, which is not open",
                     header.channel);
  if (theirs_ >= kChannelsMax)
    return permanent(ErrorKind::corrupt, "peer opens more than {} channels", kChannelsMax);
  ++theirs_;
  return channels_.emplace(header.channel, std::make_shared<Channel>(false)).first->second.get();
}

Result<std::optional<Inbox::Opened>> Inbox::take(const Frame& frame) {
  const std::uint32_t id = frame.header.channel;
  os::Lock lock(mutex_);
  if (ended_) return std::optional<Opened>{};
  FARSHORE_TRY_ASSIGN(Channel * channel, channel_of(frame.header));
  const std::uint64_t held_before = channel->reassembly.held_bytes();
  FARSHORE_TRY_ASSIGN(Reassembly::Progress progress, channel->reassembly.take(frame));
  held_ += channel->reassembly.held_bytes() - held_before;
  if (held_ > kSessionHeldMax)
    return permanent(ErrorKind::corrupt,
                     "{} lie untaken in {} channels: that is over the session's limit",
                     format_bytes(held_), channels_.size());
  std::optional<Opened> opened;
  if (progress.opened) {
    outbox_.accept(id, progress.opened->klass, progress.opened->credit);
    give_credit(id, *channel);
    opened = Opened{id, *std::move(progress.opened)};
  }
  if (progress.closed) {
    channel->closed_by_peer = std::move(progress.closed);
    outbox_.peer_closed(id);
  }
  if (channel->waiting > 0 && (progress.messages || channel->closed_by_peer))
    channel->changed.notify_all();
  forget_if_done(id);
  return opened;
}

void Inbox::give_credit(std::uint32_t id, Channel& channel) {
  if (channel.closed_here || channel.closed_by_peer) return;
  const std::uint64_t wanted = window_locked(), given = channel.reassembly.outstanding();
  if (given >= wanted || wanted - given < wanted / 8)
    return;  // a few large grants, not one for each message
  channel.reassembly.give_credit(wanted - given);
  outbox_.give_credit(id, wanted - given);
}

Result<Bytes> Inbox::receive(std::uint32_t id, Deadline deadline) {
  os::Lock lock(mutex_);
  const auto at = channels_.find(id);
  if (at == channels_.end() || at->second->closed_here)
    return permanent(ErrorKind::closed, "the channel was closed here");
  const std::shared_ptr<Channel> channel = at->second;
  std::optional<Reassembly::Message> message;
  ++channel->waiting;
  channel->changed.wait(lock, deadline, [&] {
    if (ended_ || channel->closed_here) return true;
    message = channel->reassembly.next();
    return message.has_value() || channel->closed_by_peer.has_value();
  });
  --channel->waiting;
  if (message) {
    held_ -= message->charge;
    give_credit(id, *channel);
    return std::move(message->bytes);
  }
  if (channel->closed_here) return permanent(ErrorKind::closed, "the channel was closed here");
  if (ended_) return *ended_;
  if (channel->closed_by_peer)
    return transient(ErrorKind::unavailable, "the peer closed the channel{}{}",
                     channel->closed_by_peer->empty() ? "" : ": ", *channel->closed_by_peer);
  return transient(ErrorKind::timeout, "no message came");
}

void Inbox::close(std::uint32_t id) {
  {
    os::Lock lock(mutex_);
    const auto at = channels_.find(id);
    if (at == channels_.end() || at->second->closed_here) return;
    Channel& channel = *at->second;
    channel.closed_here = true;
    const std::uint64_t held_before = channel.reassembly.held_bytes();
    channel.reassembly.discard();
    held_ -= held_before - channel.reassembly.held_bytes();
    channel.changed.notify_all();
    forget_if_done(id);
  }
  outbox_.close(id, "");
}

// An id is forgotten when neither side uses it any more: the peer's close is its last frame.
void Inbox::forget_if_done(std::uint32_t id) {
  const auto at = channels_.find(id);
  if (at == channels_.end() || !at->second->closed_here || !at->second->closed_by_peer) return;
  channels_.erase(at);
  --(is_ours(id) ? ours_ : theirs_);
}

void Inbox::end(Error error) {
  os::Lock lock(mutex_);
  if (ended_) return;
  ended_ = std::move(error);
  for (auto& [id, channel] : channels_) {
    channel->reassembly.discard();
    channel->changed.notify_all();
  }
}

}  // namespace farshore::link
