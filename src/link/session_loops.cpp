// The two threads of each connection of a Session.
#include "link/session.h"

namespace farshore::link {
namespace {

constexpr std::size_t kAskedMax = 64;   // keepalives that wait for an answer
constexpr Duration kLastWords = 250ms;  // for the end frame

}  // namespace

// A broken invariant ends the session, not the agent.
void Session::guarded(Pooled& pooled, void (Session::*loop)(Pooled&)) {
  try {
    (this->*loop)(pooled);
  } catch (const CheckFailed& failed) {
    end(permanent(ErrorKind::invalid, "{}", failed.what()), "internal error");
  }
  os::Lock lock(mutex_);
  (loop == &Session::send_loop ? pooled.sender_done : pooled.reader_done) = true;
  stopped_.notify_all();
}

void Session::send_loop(Pooled& pooled) {
  BatchWriter writer(world_, *pooled.connection,
                     pooled.number == 0 ? kWindowLogMax : kWindowLogExtra);
  while (true) {
    auto batch = mailroom_->outbox.next(pooled.number);
    if (!batch.ok()) return;
    const MonotonicTime began = world_.now();
    const Bytes plain = encode_batch(pooled, *batch);
    writer.prepare(plain, level_now());
    mailroom_->outbox.write_begins(pooled.number, world_.now() - began);
    auto written = writer.write(batch->end ? kLastWords : options_.dead_after);
    mailroom_->outbox.write_ends(pooled.number, *batch, plain.size(), writer.wire_bytes());
    count_sent(pooled, *batch, plain.size(), writer.wire_bytes());
    if (!written.ok()) {
      if (!batch->end)
        end(within(pooled.connection->peer_address(), std::move(written).error()),
            "a connection failed");
      return;
    }
  }
}

int Session::level_now() const {
  os::Lock lock(mutex_);
  return level_.level;
}

void Session::count_sent(Pooled& pooled, const Batch& batch, std::size_t plain, std::size_t wire) {
  os::Lock lock(mutex_);
  traffic_.plain_bytes_sent += plain;
  traffic_.wire_bytes_sent += wire;
  if (!batch.frames.empty()) pooled.data_at = world_.now();
}

Bytes Session::encode_batch(Pooled& pooled, const Batch& batch) {
  Bytes out;
  for (const auto& [channel, bytes] : batch.credits)
    encode_frame({.type = FrameType::credit, .channel = channel}, encode_credit(bytes), out);
  if (batch.more) encode_frame({.type = FrameType::more}, {}, out);
  for (const OutgoingFrame& frame : batch.frames) encode_frame(frame.header, frame.payload(), out);
  // Times are taken as late as may be.
  for (const KeepaliveHeard& heard : batch.answers)
    encode_frame({.type = FrameType::keepalive_answer},
                 encode(KeepaliveAnswer{.id = heard.id,
                                        .received_at = heard.received_at,
                                        .answered_at = world_.clock().wall(),
                                        .held = world_.now() - heard.received}),
                 out);
  if (batch.keepalive) {
    Keepalive keepalive = *batch.keepalive;
    {
      os::Lock lock(mutex_);
      keepalive.id = pooled.next_id++;
      if (pooled.asked.size() >= kAskedMax) pooled.asked.erase(pooled.asked.begin());
      pooled.asked[keepalive.id] = {world_.clock().wall(), world_.now()};
    }
    encode_frame({.type = FrameType::keepalive}, encode(keepalive), out);
  }
  if (batch.retire) encode_frame({.type = FrameType::retire}, {}, out);
  if (batch.end) encode_frame({.type = FrameType::end}, encode_reason(*batch.end), out);
  return out;
}

void Session::read_loop(Pooled& pooled) {
  BatchReader reader(world_, *pooled.connection, options_.dead_after);
  while (true) {
    auto more = read_batch(pooled, reader);
    if (more.ok() && *more) continue;
    if (more.ok()) {  // the peer's last frame on this connection; ours follows, if it was not the
                      // first
      os::Lock lock(mutex_);
      pooled.retiring = true;
      mailroom_->outbox.retire(pooled.number);
      return;
    }
    const Error error = within(pooled.connection->peer_address(), std::move(more).error());
    end(error,
        error.kind == ErrorKind::corrupt ? "protocol error: " + error.what : "a connection failed");
    return;
  }
}

Result<bool> Session::read_batch(Pooled& pooled, BatchReader& reader) {
  FARSHORE_TRY_ASSIGN(ByteView plain, reader.next());
  {
    os::Lock lock(mutex_);
    heard_at_ = world_.now();
    traffic_.plain_bytes_received += plain.size();
    traffic_.wire_bytes_received += reader.wire_bytes();
  }
  while (!plain.empty()) {
    FARSHORE_TRY_ASSIGN(const Frame frame, take_frame(plain));
    if (frame.header.type == FrameType::retire) return false;
    FARSHORE_TRY(handle(pooled, frame));
  }
  return true;
}

Result<void> Session::handle(Pooled& pooled, const Frame& frame) {
  switch (frame.header.type) {
    case FrameType::open:
    case FrameType::data:
    case FrameType::close:
      return handle_channel_frame(pooled, frame);
    case FrameType::credit: {
      FARSHORE_TRY_ASSIGN(const std::uint64_t bytes, decode_credit(frame.payload));
      return mailroom_->outbox.take_credit(frame.header.channel, bytes);
    }
    case FrameType::keepalive:
      return handle_keepalive(pooled, frame);
    case FrameType::keepalive_answer:
      return handle_answer(pooled, frame);
    case FrameType::more: {
      {
        os::Lock lock(mutex_);
        if (static_cast<int>(pool_.size()) >= options_.connections_max) return {};
        wish_ = Wish::peers;
      }
      changed_();
      return {};
    }
    case FrameType::end: {
      FARSHORE_TRY_ASSIGN(const std::string words, decode_reason(frame.payload));
      return transient(ErrorKind::unavailable, "the peer ended the session: {}", words);
    }
    case FrameType::hello:
    case FrameType::accept:
    case FrameType::refuse:
    case FrameType::confirm:
    case FrameType::retire:
      break;
  }
  return permanent(ErrorKind::corrupt, "frame of type {} in a session",
                   static_cast<int>(frame.header.type));
}

Result<void> Session::handle_channel_frame(Pooled& pooled, const Frame& frame) {
  {
    os::Lock lock(mutex_);
    pooled.data_at = world_.now();
  }
  FARSHORE_TRY_ASSIGN(auto opened, mailroom_->inbox.take(frame));
  if (opened)
    callbacks_.opened(std::move(opened->open.name), opened->open.klass,
                      make_channel(mailroom_, opened->channel));
  return {};
}

Result<void> Session::handle_keepalive(Pooled& pooled, const Frame& frame) {
  KeepaliveHeard heard{.received_at = world_.clock().wall(), .received = world_.now()};
  FARSHORE_TRY_ASSIGN(Keepalive keepalive, decode_keepalive(frame.payload));
  heard.id = keepalive.id;
  mailroom_->outbox.answer(pooled.number, heard);
  if (keepalive.has_totals && callbacks_.keepalive_received)
    callbacks_.keepalive_received(std::move(keepalive.totals));
  return {};
}

Result<void> Session::handle_answer(Pooled& pooled, const Frame& frame) {
  const WallTime wall = world_.clock().wall();
  const MonotonicTime now = world_.now();
  FARSHORE_TRY_ASSIGN(const KeepaliveAnswer answer, decode_keepalive_answer(frame.payload));
  os::Lock lock(mutex_);
  const auto asked = pooled.asked.find(answer.id);
  if (asked == pooled.asked.end()) return {};  // older than kAskedMax
  clock_.add({.sent_at = asked->second.wall,
              .returned_at = wall,
              .waited = now - asked->second.monotonic,
              .received_at = answer.received_at,
              .answered_at = answer.answered_at,
              .held = answer.held});
  mailroom_->inbox.set_round_trip(clock_.rtt());
  answered_sent_at_ = std::max(answered_sent_at_, asked->second.monotonic);
  pooled.asked.erase(asked);
  answered_.notify_all();
  return {};
}

}  // namespace farshore::link
