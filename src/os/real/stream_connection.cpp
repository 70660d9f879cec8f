#include "os/real/stream_connection.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "os/real/socket.h"

namespace farshore::os {

Result<std::unique_ptr<StreamConnection>> StreamConnection::make(Descriptor fd, TlsIdentity* tls,
                                                                 bool server) {
  SslPointer ssl;
  if (tls != nullptr) {
    FARSHORE_TRY_ASSIGN(ssl, tls->make_ssl(fd.get(), server));
  }
  return std::unique_ptr<StreamConnection>(new StreamConnection(std::move(fd), std::move(ssl)));
}

StreamConnection::StreamConnection(Descriptor fd, SslPointer ssl)
    : fd_(std::move(fd)), peer_address_(os::peer_address(fd_.get())), ssl_(std::move(ssl)) {}

StreamConnection::~StreamConnection() {
  close();
}

Error StreamConnection::closed_error() const {
  return permanent(ErrorKind::closed, "the connection to {} was closed on this side",
                   peer_address_);
}

Result<short> StreamConnection::advance_handshake() {
  if (!ssl_) return short{0};
  Lock lock(ssl_mutex_);
  ERR_clear_error();
  errno = 0;
  const int returned = SSL_do_handshake(ssl_.get());
  switch (tls_outcome(ssl_.get(), returned)) {
    case TlsOutcome::want_read:
      return short{POLLIN};
    case TlsOutcome::want_write:
      return short{POLLOUT};
    case TlsOutcome::failed:
      return tls_error(ssl_.get(), returned, peer_address_);
    case TlsOutcome::done:
      break;
  }
  FARSHORE_TRY_ASSIGN(peer_name_, certificate_name(ssl_.get(), peer_address_));
  return short{0};
}

Result<std::size_t> StreamConnection::read(char* into, std::size_t count, Deadline deadline) {
  while (true) {
    if (closed_) return closed_error();
    FARSHORE_TRY_ASSIGN(const Step step, read_step(into, count));
    if (step.bytes > 0) return step.bytes;
    FARSHORE_TRY(wait(step.wants, deadline, "sent nothing"));
  }
}

Result<void> StreamConnection::write(ByteView bytes, Deadline deadline) {
  while (!bytes.empty()) {
    if (closed_) return closed_error();
    FARSHORE_TRY_ASSIGN(const Step step, write_step(bytes));
    bytes.remove_prefix(step.bytes);
    if (step.bytes == 0) FARSHORE_TRY(wait(step.wants, deadline, "took nothing"));
  }
  return {};
}

Result<StreamConnection::Step> StreamConnection::read_step(char* into, std::size_t count) {
  if (ssl_) return tls_step(true, into, {}, count);
  const ssize_t n = ::recv(fd_.get(), into, count, 0);
  if (n == 0) return transient(ErrorKind::unavailable, "{} closed the connection", peer_address_);
  return plain_step(n, POLLIN);
}

Result<StreamConnection::Step> StreamConnection::write_step(ByteView bytes) {
  if (ssl_) return tls_step(false, nullptr, bytes, bytes.size());
  return plain_step(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), POLLOUT);
}

Result<StreamConnection::Step> StreamConnection::plain_step(ssize_t returned, short wants) {
  if (returned >= 0) return Step{static_cast<std::size_t>(returned), wants};
  if (errno == EAGAIN || errno == EINTR) return Step{0, wants};
  return transient(ErrorKind::unavailable, "connection to {}: {}", peer_address_,
                   std::strerror(errno));
}

Result<StreamConnection::Step> StreamConnection::tls_step(bool reading, char* into, ByteView bytes,
                                                          std::size_t count) {
  Lock lock(ssl_mutex_);
  ERR_clear_error();
  errno = 0;
  std::size_t done = 0;
  const int returned = reading ? SSL_read_ex(ssl_.get(), into, count, &done)
                               : SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &done);
  switch (tls_outcome(ssl_.get(), returned)) {
    case TlsOutcome::done:
      return Step{done, 0};
    case TlsOutcome::want_read:
      return Step{0, POLLIN};
    case TlsOutcome::want_write:
      return Step{0, POLLOUT};
    case TlsOutcome::failed:
      break;
  }
  return tls_error(ssl_.get(), returned, peer_address_);
}

Result<void> StreamConnection::wait(short wants, Deadline deadline, const char* doing) {
  pollfd fds[2] = {{fd_.get(), wants, 0}, {waker_.fd(), POLLIN, 0}};
  if (!poll_many(fds, deadline)) {
    return transient(ErrorKind::timeout, "{} {} in time", peer_address_, doing);
  }
  return {};
}

void StreamConnection::close() {
  if (closed_.exchange(true)) return;
  waker_.wake();
  if (ssl_) {
    // Tells the peer that this is an end, not a cut; if the socket is full, the peer sees a cut.
    Lock lock(ssl_mutex_);
    ERR_clear_error();
    if (SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(fd_.get(), SHUT_WR);
}

TransportStats StreamConnection::stats() {
  return socket_stats(fd_.get());
}

}  // namespace farshore::os
