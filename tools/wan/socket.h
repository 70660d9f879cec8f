// Socket: an owned, non-blocking TCP socket, and the few calls that the proxy makes on one.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace farshore::wan {

// What the kernel may hold for us unread (it takes twice as much), when the rate is not limited.
constexpr int kReceiveBufferBytes = 1 << 18;

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() { close(); }

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close();
  void reset();  // closes so that the peer sees a reset, not an end

 private:
  int fd_ = -1;
};

struct Address {
  std::uint32_t host = 0;  // IPv4, network order
  std::uint16_t port = 0;
};

Result<Address> parse_address(const std::string& text);  // "127.0.0.1:7432"
std::string format_address(const Address& address);
Result<Socket> listen_on(const Address& address);
Socket accept_from(const Socket& listener);         // not open: nobody waits
Result<Socket> connect_to(const Address& address);  // may still be under way
void set_receive_buffer(const Socket& socket, int bytes);
bool connected(const Socket& socket);  // after it became writable
Address local_address(const Socket& socket);

}  // namespace farshore::wan
