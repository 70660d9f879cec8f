// Network: mutually authenticated byte streams. The real one is TLS 1.3 over TCP, where both sides
// show a certificate of the same CA; the simulated one delays, cuts, half-opens and swallows.
#pragma once

#include <memory>
#include <stop_token>
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

// One reader and one writer thread at once; close() from any thread wakes both with
// ErrorKind::closed.
struct Connection : Port {
  // At least one byte, or `unavailable` when the peer closed or reset.
  virtual Result<std::size_t> read(char* into, std::size_t count, Deadline deadline) = 0;
  // All of it. After a timeout a part may have gone: the connection can then only be closed.
  virtual Result<void> write(ByteView bytes, Deadline deadline) = 0;
  virtual void close() = 0;
  virtual TransportStats stats() = 0;
  virtual std::string peer_name() const = 0;     // the certificate's common name: the region
  virtual std::string peer_address() const = 0;  // for messages only
};

struct Listener : Port {
  // The next client whose handshake is complete; peer_name() is known. Handshakes run side by side
  // in this call, each for at most 5 s, so a client that stalls holds up no other. Errors but
  // closed and timeout concern one client (denied: its certificate) or pass by themselves: say so
  // and accept on. One thread.
  virtual Result<std::unique_ptr<Connection>> accept(Deadline deadline) = 0;
  virtual std::string address() const = 0;  // with the real port
  virtual void close() = 0;
};

struct Network : Port {
  virtual Result<std::unique_ptr<Listener>> listen(
      const std::string& address) = 0;  // "host:port", port 0: any
  // Handshake included. The peer judges our certificate after it: a refusal comes as `denied` from
  // the first read. `stop` ends the wait with `closed`; resolving a name does not see it.
  virtual Result<std::unique_ptr<Connection>> connect(const std::string& address, Deadline deadline,
                                                      std::stop_token stop = {}) = 0;
};

}  // namespace farshore::os
