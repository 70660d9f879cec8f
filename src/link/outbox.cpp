#include "link/outbox.h"

#include <algorithm>

namespace farshore::link {
namespace {

constexpr std::uint64_t kSpillBytes =
    128_KiB;                           // as much as this lets a further connection take part
constexpr Duration kSpillAfter = 2ms;  // so does a first connection that hangs in its write

}  // namespace

void Outbox::add_connection(int number) {
  os::Lock lock(mutex_);
  connections_[number].busy_since = world_.now();
  meter_.add_connection(number);
}

void Outbox::remove_connection(int number) {
  os::Lock lock(mutex_);
  meter_.remove_connection(number);
  connections_.erase(number);
  wake_for_shared();
}

bool Outbox::may_take_shared(int number, MonotonicTime now, Deadline& ask_again) const {
  if (!has_shared()) return false;
  MonotonicTime busy_since = MonotonicTime::min();
  for (const auto& [other, connection] : connections_) {
    if (other >= number) break;
    if (connection.retire || connection.retired) continue;
    if (connection.waiting) return false;  // it was woken and goes first
    busy_since = std::max(busy_since, connection.busy_since);
  }
  if (busy_since == MonotonicTime::min() || queue_.ready_bytes() >= kSpillBytes) return true;
  if (now - busy_since >= kSpillAfter) return true;
  ask_again = Deadline::at(busy_since + kSpillAfter);
  return false;
}

Result<Batch> Outbox::next(int number) {
  os::Lock lock(mutex_);
  Connection& connection = connections_.at(number);
  while (true) {
    if (connection.said_end || connection.retired)
      return permanent(ErrorKind::closed, "nothing more is sent on this connection");
    if (ended_) {
      connection.said_end = true;
      Batch last;
      last.end = end_words_;
      return last;
    }
    const MonotonicTime now = world_.now();
    Deadline ask_again = Deadline::never();
    const bool shared = !connection.retire && may_take_shared(number, now, ask_again);
    if (shared || connection.has_own()) {
      connection.busy_since = now;
      Batch batch = fill(connection, shared);
      wake_for_shared();
      return batch;
    }
    connection.waiting = true;
    connection.woken.wait(lock, ask_again);
    connection.waiting = false;
  }
}

Batch Outbox::fill(Connection& connection, bool shared) {
  Batch batch;
  batch.keepalive = std::exchange(connection.keepalive, std::nullopt);
  batch.answers.assign(connection.answers.begin(), connection.answers.end());
  connection.answers.clear();
  connection.retired = batch.retire = connection.retire;
  std::size_t bytes = batch.keepalive ? batch.keepalive->totals.size() : 0;
  if (!shared) return batch;
  batch.more = std::exchange(more_, false);
  while (!credits_.empty() && bytes < kBatchFill) {
    batch.credits.push_back(*credits_.begin());
    credits_.erase(credits_.begin());
    bytes += kFrameHeaderBytes + sizeof(std::uint64_t);
  }
  while (bytes < kBatchFill) {
    auto frame = queue_.next();
    if (!frame) break;
    bytes += kFrameHeaderBytes + frame->header.payload_bytes;
    if (frame->header.type == FrameType::close) closing_.erase(frame->header.channel);
    batch.frames.push_back(*std::move(frame));
  }
  return batch;
}

// Wakes the first connection that waits. Those before it are at work and ask again when they are
// done.
void Outbox::wake_for_shared() {
  if (!has_shared()) return;
  for (auto& [number, connection] : connections_) {
    if (!connection.waiting || connection.retire || connection.retired) continue;
    connection.woken.notify_one();
    return;
  }
}

void Outbox::wake(int number) {
  if (const auto at = connections_.find(number); at != connections_.end())
    at->second.woken.notify_one();
}

void Outbox::write_begins(int number, Duration compressed_for) {
  os::Lock lock(mutex_);
  meter_.compressed(compressed_for);
  meter_.write_begins(number, world_.now());
}

void Outbox::write_ends(int number, const Batch& batch, std::uint64_t plain_bytes,
                        std::uint64_t wire_bytes) {
  os::Lock lock(mutex_);
  meter_.write_ends(number, world_.now(), plain_bytes, wire_bytes);
  for (const OutgoingFrame& frame : batch.frames) queue_.written(frame);
  if (waiting_for_room_ > 0 && !batch.frames.empty()) room_.notify_all();
}

void Outbox::ask(int number, Keepalive keepalive) {
  os::Lock lock(mutex_);
  const auto at = connections_.find(number);
  if (at == connections_.end()) return;
  at->second.keepalive = std::move(keepalive);  // one that was never sent gives way
  wake(number);
}

void Outbox::answer(int number, const KeepaliveHeard& keepalive) {
  os::Lock lock(mutex_);
  const auto at = connections_.find(number);
  if (at == connections_.end()) return;
  auto& answers = at->second.answers;
  if (answers.size() >= kAnswersMax) answers.pop_front();
  answers.push_back(keepalive);
  wake(number);
}

void Outbox::retire(int number) {
  os::Lock lock(mutex_);
  const auto at = connections_.find(number);
  if (at == connections_.end()) return;
  at->second.retire = true;
  wake(number);
  wake_for_shared();
}

void Outbox::open(std::uint32_t channel, const Open& open) {
  auto payload = std::make_shared<const Bytes>(encode(open));
  os::Lock lock(mutex_);
  queue_.add(channel, open.klass, kInitialCredit);
  queue_.push(channel, FrameType::open, std::move(payload));
  wake_for_shared();
}

void Outbox::accept(std::uint32_t channel, Class klass, std::uint64_t credit) {
  os::Lock lock(mutex_);
  queue_.add(channel, klass, credit);
}

bool Outbox::has_room(std::uint32_t channel, std::uint64_t bytes) const {
  const std::uint64_t queued = queue_.queued_bytes(channel);
  return queued == 0 ||
         (queued + bytes <= kChannelQueueMax && queue_.queued_bytes() + bytes <= kSessionQueueMax);
}

Result<void> Outbox::send(std::uint32_t channel, ByteView message, Deadline deadline) {
  auto bytes = std::make_shared<const Bytes>(message);
  os::Lock lock(mutex_);
  const auto done = [&] { return ended_ || !queue_.has(channel) || closing_.contains(channel); };
  ++waiting_for_room_;
  const bool there =
      room_.wait(lock, deadline, [&] { return done() || has_room(channel, bytes->size()); });
  --waiting_for_room_;
  if (ended_) return *ended_;
  if (done()) return transient(ErrorKind::unavailable, "the peer closed the channel");
  if (!there)
    return transient(ErrorKind::timeout, "the peer takes no more: {} wait",
                     format_bytes(queue_.queued_bytes(channel)));
  queue_.push(channel, FrameType::data, std::move(bytes));
  wake_for_shared();
  return {};
}

void Outbox::close(std::uint32_t channel, std::string_view reason) {
  auto payload = std::make_shared<const Bytes>(encode_reason(reason));
  os::Lock lock(mutex_);
  if (!queue_.has(channel) || !closing_.insert(channel).second) return;
  queue_.push(channel, FrameType::close, std::move(payload));
  room_.notify_all();
  wake_for_shared();
}

void Outbox::peer_closed(std::uint32_t channel) {
  {
    os::Lock lock(mutex_);
    queue_.drop_data(channel);
    wake_for_shared();  // a close may have waited behind the data
  }
  close(channel, "");
}

void Outbox::set_class(std::uint32_t channel, Class klass) {
  os::Lock lock(mutex_);
  queue_.set_class(channel, klass);
}

std::uint64_t Outbox::queued_bytes(std::uint32_t channel) const {
  os::Lock lock(mutex_);
  return queue_.queued_bytes(channel);
}

Result<void> Outbox::take_credit(std::uint32_t channel, std::uint64_t bytes) {
  os::Lock lock(mutex_);
  FARSHORE_TRY(queue_.add_credit(channel, bytes));
  wake_for_shared();
  return {};
}

void Outbox::give_credit(std::uint32_t channel, std::uint64_t bytes) {
  os::Lock lock(mutex_);
  credits_[channel] += bytes;
  wake_for_shared();
}

void Outbox::ask_more() {
  os::Lock lock(mutex_);
  more_ = true;
  wake_for_shared();
}

void Outbox::end(std::string words, Error error) {
  os::Lock lock(mutex_);
  if (ended_) return;
  ended_ = std::move(error);
  end_words_ = std::move(words);
  queue_ = SendQueue();
  room_.notify_all();
  for (auto& [number, connection] : connections_) connection.woken.notify_one();
}

std::uint64_t Outbox::waiting_bytes() const {
  os::Lock lock(mutex_);
  return queue_.ready_bytes();
}

SendSample Outbox::take_sample() {
  os::Lock lock(mutex_);
  return meter_.take_sample(world_.now());
}

void Outbox::look() {
  os::Lock lock(mutex_);
  meter_.looked(queue_.ready_bytes() > 0);
}

}  // namespace farshore::link
