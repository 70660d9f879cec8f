// StreamConnection: one TCP connection of the real network, with or without TLS.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "os/mutex.h"
#include "os/network.h"
#include "os/poll.h"
#include "os/real/descriptor.h"
#include "os/real/poll_many.h"
#include "os/real/tls.h"

namespace farshore::os {

class StreamConnection : public Connection {
 public:
  // `tls` nullptr: plain TCP. The socket is non-blocking.
  static Result<std::unique_ptr<StreamConnection>> make(Descriptor fd, TlsIdentity* tls,
                                                        bool server);
  ~StreamConnection() override;

  // Goes as far as it can without waiting. The poll events that it waits for; 0: done, peer_name()
  // is known.
  Result<short> advance_handshake();
  int fd() const { return fd_.get(); }

  Result<std::size_t> read(char* into, std::size_t count, Deadline deadline) override;
  Result<void> write(ByteView bytes, Deadline deadline) override;
  void close() override;
  TransportStats stats() override;
  std::string peer_name() const override { return peer_name_; }
  std::string peer_address() const override { return peer_address_; }

 private:
  // What one non-blocking call gave: bytes, or the poll events to wait for before the next.
  struct Step {
    std::size_t bytes = 0;
    short wants = 0;
  };

  StreamConnection(Descriptor fd, SslPointer ssl);
  Result<Step> read_step(char* into, std::size_t count);
  Result<Step> write_step(ByteView bytes);
  Result<Step> tls_step(bool reading, char* into, ByteView bytes, std::size_t count);
  Result<Step> plain_step(ssize_t returned, short wants);
  Result<void> wait(short wants, Deadline deadline, const char* doing);
  Error closed_error() const;

  const Descriptor fd_;
  const std::string peer_address_;
  std::string peer_name_;
  Mutex ssl_mutex_;  // an SSL object takes one call at a time; never held while waiting
  const SslPointer ssl_;
  Waker waker_;  // set for good by close()
  std::atomic<bool> closed_ = false;
};

}  // namespace farshore::os
