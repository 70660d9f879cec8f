#include "engine/postgres/capture_session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace farshore::postgres {
namespace {

constexpr std::uint64_t kBatchBytesMax = 4_MiB;  // of one receive
// So much is read ahead of it. One record more still goes out with it: the preamble that may follow
// must not tell what a transaction defined that does not.
constexpr std::uint64_t kReadyBytesMax = kBatchBytesMax - kRecordPayloadMax;
// A record that only carries a place comes when keepalives ran ahead this long. Heartbeats make it
// needless where they are written, and more often.
constexpr Duration kPlaceEvery = 2s;
constexpr Duration kAskAfterSilence = 5s;
// A walsender sends row by row, and each row would wake us. Of a backlog, where nobody waits for a
// commit, we let the rows gather; for longer when the last receive took more than a window holds,
// for then the server is far ahead.
constexpr Duration kGather = 5ms;
constexpr Duration kGatherDeep = 20ms;
constexpr std::uint64_t kDeepBytes = 96 * 1024;
constexpr Duration kBacklogAge = 1s;            // of the newest commit
constexpr std::uint64_t kBacklogBytes = 1_MiB;  // of a transaction whose commit has not come
// Meanwhile so small a window closes, and the kernel gathers the server's rows into large packets:
// a third of the walsender's work. (SO_RCVLOWAT would keep the window open: no rows would gather.)
// The buffer behind it holds more: packets that find it full are lost, and each costs a timeout.
// Over a distance it would cost throughput.
constexpr int kWindow = 64 * 1024;
constexpr int kReceiveBuffer = 4 * kWindow;
constexpr std::uint32_t kNearMicroseconds = 200;  // round trip

std::uint64_t network_u64(ByteView bytes) {
  std::uint64_t value = 0;
  for (char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

void narrow_window(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
  if (info.tcpi_rtt > kNearMicroseconds) return;
  (void)::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_WINDOW_CLAMP, &kWindow, sizeof kWindow);
}

}  // namespace

Result<void> bound_sender_timeout(Connection& replication, Deadline deadline) {
  const auto most = std::chrono::duration_cast<std::chrono::milliseconds>(kSilenceMax).count();
  FARSHORE_TRY(replication.query(
      fmt::format("SELECT set_config(name, '{0}', false) FROM pg_settings WHERE name = "
                  "'wal_sender_timeout' AND (setting::int = 0 OR setting::int > {0})",
                  most),
      deadline));
  return {};
}

CaptureSession::CaptureSession(os::World& world, std::unique_ptr<Connection> connection,
                               Options options)
    : world_(world),
      connection_(std::move(connection)),
      assembler_(std::move(options.own_origin_prefix)),
      feedback_(options.retain_max) {
  assembler_.resume(options.after, options.begin);
  feedback_.start(options.after.after, options.confirmed);
  received_ = std::max(options.after.after, options.confirmed);
  sent_at_ = heard_at_ = placed_at_ = world_.now();
  narrow_window(PQsocket(connection_->raw()));
}

Result<std::vector<Record>> CaptureSession::receive(Deadline deadline, os::Waker& waker) {
  for (;;) {
    if (in_backlog_ && assembler_.ready().empty()) gather(deadline, waker);
    Wait wait;
    {
      os::Lock lock(mutex_);
      if (!failure_ && assembler_.ready_bytes() < kReadyBytesMax) drain();
      // What is complete goes out before the failure that came after it.
      if (!assembler_.ready().empty()) return assembler_.take_ready(kBatchBytesMax);
      if (failure_) return *failure_;
      wait = next_wait();
    }
    if (wait.ready) continue;
    if (deadline.reached(world_.now())) return std::vector<Record>();
    const os::Readiness ready = os::poll_fd(wait.fd, true, wait.write, deadline, &waker);
    if (ready.woken) return std::vector<Record>();
  }
}

void CaptureSession::gather(Deadline deadline, os::Waker& waker) {
  const Duration wait = read_bytes_ > kDeepBytes ? kGatherDeep : kGather;
  (void)os::poll_fd(-1, false, false, earlier(deadline, world_.after(wait)), &waker);
}

CaptureSession::Wait CaptureSession::next_wait() {
  return {.fd = PQsocket(connection_->raw()),
          .write = connection_->flush_pending(),
          .ready = connection_->unread_tls_bytes()};
}

void CaptureSession::drain() {
  const Lsn emitted = assembler_.emitted();
  read_bytes_ = 0;
  auto read = read_all();
  if (assembler_.emitted() > emitted)
    commits_are_old_ = assembler_.commit_time() < world_.clock().wall() - kBacklogAge;
  in_backlog_ = read_bytes_ > 0 && (commits_are_old_ || unended_bytes_ > kBacklogBytes);
  if (!read.ok()) {
    failure_ = std::move(read).error();
    return;
  }
  const MonotonicTime now = world_.now();
  tell_emitted();
  if (held_ && assembler_.log_is_known()) {
    take_acknowledgement(*held_);
    held_.reset();
  }
  if (const auto place = feedback_.place_due(); place && now - placed_at_ >= kPlaceEvery) {
    assembler_.add_place(*place);
    tell_emitted();
  }
  if (now - heard_at_ > kSilenceMax)
    failure_ = transient(ErrorKind::unavailable, "{}: nothing heard for {}", connection_->server(),
                         format_duration(kSilenceMax));
  if (!must_reply_ && feedback_.reply() == sent_) return;
  if (auto sent = send(false); !sent.ok()) failure_ = std::move(sent).error();
}

Result<void> CaptureSession::read_all() {
  bool any = true;
  while (any && assembler_.ready_bytes() < kReadyBytesMax) {
    any = false;
    Result<void> consumed = connection_->consume();
    while (assembler_.ready_bytes() < kReadyBytesMax) {
      // After a broken read this gives what came before, last the server's own reason.
      FARSHORE_TRY_ASSIGN(const auto message, connection_->copy_both_next());
      if (!message) break;
      any = true;
      FARSHORE_TRY(take(message->bytes()));
    }
    if (any) heard_at_ = world_.now();
    if (!consumed.ok() && !any) return consumed;
  }
  return {};
}

Result<void> CaptureSession::take(ByteView message) {
  constexpr std::size_t kDataHeader = 1 + 8 + 8 + 8;  // type, start, end of WAL, time
  if (message.front() == 'k') return take_keepalive(message);
  if (message.front() != 'w' || message.size() <= kDataHeader)
    return permanent(ErrorKind::corrupt, "{}: a replication message of type '{}' and {} bytes",
                     connection_->server(), message.front(), message.size());
  received_ = std::max(received_, Lsn(network_u64(message.substr(9, 8))));
  read_bytes_ += message.size();
  const auto type = static_cast<MessageType>(message[kDataHeader]);
  const bool ends = type == MessageType::commit || type == MessageType::stream_commit;
  unended_bytes_ = ends ? 0 : unended_bytes_ + message.size();
  auto taken = assembler_.take(message.substr(kDataHeader));
  if (!taken.ok()) return within(connection_->server(), std::move(taken).error());
  return {};
}

// Each is answered, also one that does not ask: a commit may wait that holds nothing for us.
Result<void> CaptureSession::take_keepalive(ByteView message) {
  constexpr std::size_t kKeepalive = 1 + 8 + 8 + 1;
  if (message.size() != kKeepalive)
    return permanent(ErrorKind::corrupt, "{}: a keepalive of {} bytes", connection_->server(),
                     message.size());
  const Lsn end(network_u64(message.substr(1, 8)));
  received_ = std::max(received_, end);
  if (auto sent = assembler_.sent_through(end); !sent.ok())
    return within(connection_->server(), std::move(sent).error());
  tell_emitted();  // what came before the keepalive is not covered by it
  feedback_.passed(end);
  must_reply_ = true;
  return {};
}

void CaptureSession::tell_emitted() {
  if (assembler_.emitted() > Lsn()) {
    if (feedback_.emitted(assembler_.emitted())) placed_at_ = world_.now();
  }
  if (assembler_.passed() > Lsn()) feedback_.passed(assembler_.passed());
}

Result<void> CaptureSession::send(bool reply_requested) {
  const Reply reply = feedback_.reply();
  FARSHORE_TRY(connection_->copy_both_send(
      encode_status_update(reply, world_.clock().wall(), reply_requested)));
  sent_ = reply;
  sent_at_ = world_.now();
  must_reply_ = false;
  return {};
}

std::optional<bool> CaptureSession::acknowledge(const Acknowledgement& acknowledgement,
                                                os::Waker& waker) {
  os::Lock lock(mutex_);
  if (!assembler_.log_is_known()) {
    held_ = acknowledgement;
    return std::nullopt;
  }
  take_acknowledgement(acknowledgement);
  if (!failure_ && !(feedback_.reply() == sent_)) {
    if (auto sent = send(false); !sent.ok()) failure_ = std::move(sent).error();
    if (failure_ || connection_->flush_pending()) waker.wake();
  }
  return feedback_.released_early();
}

void CaptureSession::take_acknowledgement(const Acknowledgement& acknowledgement) {
  auto lsn = [](const Position& position) {
    auto parsed = Lsn::from(position);
    return parsed.ok() ? *parsed : Lsn();
  };
  feedback_.acknowledged(lsn(acknowledgement.near_durable), lsn(acknowledgement.far_durable),
                         lsn(acknowledgement.released));
}

void CaptureSession::report(os::Waker& waker) {
  os::Lock lock(mutex_);
  if (failure_) return;
  const MonotonicTime now = world_.now();
  if (auto sent = send(now - heard_at_ > kAskAfterSilence); !sent.ok())
    failure_ = std::move(sent).error();
  if (failure_ || connection_->flush_pending()) waker.wake();
}

void CaptureSession::fail(Error error, os::Waker& waker) {
  os::Lock lock(mutex_);
  if (!failure_) failure_ = std::move(error);
  waker.wake();
}

std::optional<Error> CaptureSession::failure() const {
  os::Lock lock(mutex_);
  return failure_;
}

bool CaptureSession::log_is_known() const {
  os::Lock lock(mutex_);
  return assembler_.log_is_known();
}

Lsn CaptureSession::received() const {
  os::Lock lock(mutex_);
  return received_;
}

MonotonicTime CaptureSession::heard_at() const {
  os::Lock lock(mutex_);
  return heard_at_;
}

}  // namespace farshore::postgres
