#include "link/send_queue.h"

#include <algorithm>

namespace farshore::link {
namespace {

std::size_t index_of(Class klass) {
  return static_cast<std::size_t>(klass);
}

}  // namespace

void SendQueue::add(std::uint32_t id, Class klass, std::uint64_t credit) {
  const auto [at, added] = channels_.try_emplace(id);
  FARSHORE_CHECK(added, "channel {} opened twice", id);
  at->second.klass = klass;
  at->second.credit = credit;
}

void SendQueue::push(std::uint32_t id, FrameType type, std::shared_ptr<const Bytes> bytes) {
  Channel& channel = channels_.at(id);
  const std::uint64_t size = bytes->size();
  channel.items.push_back({type, std::move(bytes)});
  channel.queued += size;
  queued_bytes_ += size;
  channel.unsent += size;
  if (channel.ready) ready_bytes_ += size;
  update_ring(id, channel);
}

void SendQueue::set_class(std::uint32_t id, Class klass) {
  const auto at = channels_.find(id);
  if (at == channels_.end() || at->second.klass == klass) return;
  leave_ring(id, at->second);
  at->second.klass = klass;
  update_ring(id, at->second);
}

void SendQueue::drop_data(std::uint32_t id) {
  const auto at = channels_.find(id);
  if (at == channels_.end()) return;
  Channel& channel = at->second;
  leave_ring(id, channel);
  std::uint64_t dropped = 0;
  std::deque<Item> kept;
  for (Item& item : channel.items) {
    if (item.type == FrameType::data)
      dropped += item.bytes->size() - (&item == &channel.items.front() ? channel.offset : 0);
    else
      kept.push_back(std::move(item));
  }
  channel.items = std::move(kept);
  channel.offset = 0;
  channel.unsent -= dropped;
  channel.queued -= dropped;
  queued_bytes_ -= dropped;
  update_ring(id, channel);
}

Result<void> SendQueue::add_credit(std::uint32_t id, std::uint64_t bytes) {
  const auto at = channels_.find(id);
  if (at == channels_.end()) return {};
  if (bytes > kCreditMax - std::min(at->second.credit, kCreditMax))
    return permanent(ErrorKind::corrupt, "peer gives channel {} another {} bytes of credit", id,
                     bytes);
  at->second.credit += bytes;
  update_ring(id, at->second);
  return {};
}

bool SendQueue::ready() const {
  return std::any_of(rings_.begin(), rings_.end(), [](const auto& ring) { return !ring.empty(); });
}

bool SendQueue::may_send(const Channel& channel) {
  if (channel.items.empty()) return false;
  const Item& item = channel.items.front();
  if (item.type != FrameType::data) return true;
  return channel.credit >= std::min(item.bytes->size() - channel.offset, kFrameCut) + kFrameCharge;
}

std::optional<OutgoingFrame> SendQueue::next() {
  const auto ring =
      std::find_if(rings_.begin(), rings_.end(), [](const auto& r) { return !r.empty(); });
  if (ring == rings_.end()) return std::nullopt;
  const std::uint32_t id = ring->front();
  Channel& channel = channels_.at(id);
  leave_ring(id, channel);
  Item& item = channel.items.front();
  const std::size_t size = std::min(item.bytes->size() - channel.offset, kFrameCut);
  const bool whole = channel.offset + size == item.bytes->size();
  OutgoingFrame frame{
      .header = {.type = item.type,
                 .klass = channel.klass,
                 .flags = whole && item.type == FrameType::data ? kMessageEnd : std::uint8_t{0},
                 .channel = id,
                 .sequence = channel.sequence++,
                 .payload_bytes = static_cast<std::uint32_t>(size)},
      .bytes = item.bytes,
      .offset = channel.offset};
  if (item.type == FrameType::data) channel.credit -= size + kFrameCharge;
  channel.unsent -= size;
  channel.offset = whole ? 0 : channel.offset + size;
  if (whole) channel.items.pop_front();
  if (frame.header.type == FrameType::close) {
    queued_bytes_ -= channel.queued;
    channels_.erase(id);
  } else {
    update_ring(id, channel);
  }
  return frame;
}

void SendQueue::written(const OutgoingFrame& frame) {
  const auto at = channels_.find(frame.header.channel);
  if (at == channels_.end()) return;  // its close took the rest with it
  at->second.queued -= frame.header.payload_bytes;
  queued_bytes_ -= frame.header.payload_bytes;
}

std::uint64_t SendQueue::queued_bytes(std::uint32_t id) const {
  const auto at = channels_.find(id);
  return at == channels_.end() ? 0 : at->second.queued;
}

// Joins the ring's end when its turn may come: whoever was just served waits for the others.
void SendQueue::update_ring(std::uint32_t id, Channel& channel) {
  if (channel.ready || !may_send(channel)) return;
  rings_[index_of(channel.klass)].push_back(id);
  channel.ready = true;
  ready_bytes_ += channel.unsent;
}

void SendQueue::leave_ring(std::uint32_t id, Channel& channel) {
  if (!channel.ready) return;
  auto& ring = rings_[index_of(channel.klass)];
  ring.erase(std::find(ring.begin(), ring.end(), id));
  channel.ready = false;
  ready_bytes_ -= channel.unsent;
}

}  // namespace farshore::link
