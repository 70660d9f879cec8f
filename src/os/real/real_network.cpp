#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>

#include "os/poll.h"
#include "os/real/real_parts.h"
#include "os/real/socket.h"
#include "os/real/stream_connection.h"

namespace farshore::os {
namespace {

// Handshakes of clients run side by side inside accept(): one that stalls costs a slot for this
// long, nothing else.
constexpr Duration kHandshakeMax = 5s;
constexpr std::size_t kHandshakesMax = 64;  // beyond it the oldest is dropped

class RealListener : public Listener {
 public:
  RealListener(Descriptor fd, std::shared_ptr<TlsIdentity> tls)
      : fd_(std::move(fd)), address_(local_address(fd_.get())), tls_(std::move(tls)) {}

  Result<std::unique_ptr<Connection>> accept(Deadline deadline) override {
    while (true) {
      if (closed_) return permanent(ErrorKind::closed, "the listener on '{}' was closed", address_);
      FARSHORE_TRY_ASSIGN(std::unique_ptr<Connection> ready, advance_handshakes());
      if (ready) return ready;
      FARSHORE_TRY_ASSIGN(Descriptor client, accept_socket(fd_.get(), address_));
      if (client.valid()) {
        FARSHORE_TRY(begin(std::move(client)));
        continue;
      }
      if (!wait(deadline))
        return transient(ErrorKind::timeout, "nobody connected to '{}'", address_);
    }
  }

  std::string address() const override { return address_; }

  void close() override {
    closed_ = true;
    waker_.wake();
  }

 private:
  struct Handshake {
    std::unique_ptr<StreamConnection> connection;
    Deadline deadline;
    short wants = 0;  // poll events
  };

  Result<void> begin(Descriptor client) {
    FARSHORE_TRY_ASSIGN(std::unique_ptr<StreamConnection> connection,
                        StreamConnection::make(std::move(client), tls_.get(), true));
    const Deadline deadline = Deadline::after(real_monotonic_now(), kHandshakeMax);
    if (handshakes_.size() == kHandshakesMax) handshakes_.pop_front();
    handshakes_.push_back({std::move(connection), deadline, 0});
    return {};
  }

  // The next connection that is complete, nullptr when none is.
  Result<std::unique_ptr<Connection>> advance_handshakes() {
    const MonotonicTime now = real_monotonic_now();
    for (auto it = handshakes_.begin(); it != handshakes_.end();) {
      Result<short> wants = it->connection->advance_handshake();
      if (wants.ok() && *wants != 0 && !it->deadline.reached(now)) {
        it->wants = *wants;
        ++it;
        continue;
      }
      std::unique_ptr<StreamConnection> connection = std::move(it->connection);
      it = handshakes_.erase(it);
      if (!wants.ok()) return std::move(wants).error();
      if (*wants == 0) return std::unique_ptr<Connection>(std::move(connection));
      return transient(ErrorKind::unavailable,
                       "{} connected to '{}' but did not shake hands within {}",
                       connection->peer_address(), address_, format_duration(kHandshakeMax));
    }
    return std::unique_ptr<Connection>();
  }

  // False when the caller's deadline passed.
  bool wait(Deadline deadline) {
    std::vector<pollfd> fds{{fd_.get(), POLLIN, 0}, {waker_.fd(), POLLIN, 0}};
    Deadline until = deadline;
    for (const Handshake& handshake : handshakes_) {
      fds.push_back({handshake.connection->fd(), handshake.wants, 0});
      until = earlier(until, handshake.deadline);
    }
    return poll_many(fds, until) || !deadline.reached(real_monotonic_now());
  }

  const Descriptor fd_;
  const std::string address_;
  const std::shared_ptr<TlsIdentity> tls_;
  Waker waker_;
  std::atomic<bool> closed_ = false;
  std::list<Handshake> handshakes_;  // only the thread in accept()
};

class RealNetwork : public Network {
 public:
  explicit RealNetwork(std::optional<TlsFiles> tls) {
    if (tls) tls_ = std::make_shared<TlsIdentity>(*std::move(tls));
  }

  Result<std::unique_ptr<Listener>> listen(const std::string& address) override {
    FARSHORE_TRY_ASSIGN(Descriptor fd, listen_socket(address));
    return std::unique_ptr<Listener>(std::make_unique<RealListener>(std::move(fd), tls_));
  }

  Result<std::unique_ptr<Connection>> connect(const std::string& address, Deadline deadline,
                                              std::stop_token stop) override {
    Waker waker;
    const std::stop_callback wake(stop, [&] { waker.wake(); });
    FARSHORE_TRY_ASSIGN(Descriptor fd, connect_socket(address, deadline, waker));
    FARSHORE_TRY_ASSIGN(std::unique_ptr<StreamConnection> connection,
                        StreamConnection::make(std::move(fd), tls_.get(), false));
    while (true) {
      FARSHORE_TRY_ASSIGN(const short wants, connection->advance_handshake());
      if (wants == 0) return std::unique_ptr<Connection>(std::move(connection));
      const Readiness ready = poll_fd(connection->fd(), (wants & POLLIN) != 0,
                                      (wants & POLLOUT) != 0, deadline, &waker);
      if (ready.woken) return connecting_was_stopped(address);
      if (!ready.readable && !ready.writable) {
        return transient(ErrorKind::timeout,
                         "'{}' did not shake hands in time: is it a Farshore agent?", address);
      }
    }
  }

 private:
  std::shared_ptr<TlsIdentity> tls_;
};

}  // namespace

std::unique_ptr<Network> make_real_network(std::optional<TlsFiles> tls) {
  return std::make_unique<RealNetwork>(std::move(tls));
}

}  // namespace farshore::os
