// TCP sockets of the real network: addresses, non-blocking connect and listen, the options that the
// link wants.
#pragma once

#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "os/network.h"
#include "os/poll.h"
#include "os/real/descriptor.h"

namespace farshore::os {

// `address` is "host:port" or "[IPv6]:port"; a listener's host may be empty (all interfaces), its
// port 0 (any).
Result<Descriptor> listen_socket(const std::string& address);
// Tries each address that the name resolves to, each for its share of the time that is left: one
// that never answers must not keep the others from being tried. Resolving is the C library's and
// does not see the deadline. closed: `waker` woke.
Result<Descriptor> connect_socket(const std::string& address, Deadline deadline, Waker& waker);
Error connecting_was_stopped(const std::string& address);
Deadline share_of(Deadline deadline, MonotonicTime now, std::size_t attempts_left);
// An invalid Descriptor when nobody is waiting any more.
Result<Descriptor> accept_socket(int listener, const std::string& own_address);

std::string local_address(int fd);
std::string peer_address(int fd);
TransportStats socket_stats(int fd);

}  // namespace farshore::os
