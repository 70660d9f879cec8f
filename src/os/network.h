// Network: mutually authenticated byte streams. The real one is TLS 1.3 over TCP, where both sides show a certificate
// of the same CA; the simulated one delays, cuts, half-opens and swallows.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/port.h"
#include "base/result.h"

namespace farshore::os {

struct TransportStats {
  Duration rtt{};                  // the kernel's smoothed estimate; zero: not known
  std::uint64_t unsent_bytes = 0;  // written by us, not yet sent by the kernel
};

// One reader and one writer thread at once; close() from any thread wakes both with ErrorKind::closed.
struct Connection : Port {
  // At least one byte, or `unavailable` when the peer closed or reset.
  virtual Result<std::size_t> read(char* into, std::size_t count, Deadline deadline) = 0;
  virtual Result<void> write(ByteView bytes, Deadline deadline) = 0;  // all of it
  virtual void close() = 0;
  virtual TransportStats stats() = 0;
  virtual std::string peer_name() const = 0;     // the certificate's common name: the region
  virtual std::string peer_address() const = 0;  // for messages only
};

struct Listener : Port {
  virtual Result<std::unique_ptr<Connection>> accept(Deadline deadline) = 0;  // handshake included
  virtual std::string address() const = 0;                                    // with the real port
  virtual void close() = 0;
};

struct Network : Port {
  virtual Result<std::unique_ptr<Listener>> listen(const std::string& address) = 0;  // "host:port", port 0: any
  virtual Result<std::unique_ptr<Connection>> connect(const std::string& address, Deadline deadline) = 0;
};

}  // namespace farshore::os
