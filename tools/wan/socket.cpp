#include "wan/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace farshore::wan {
namespace {

constexpr int kBacklog = 128;

sockaddr_in native(const Address& address) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = address.host;
  out.sin_port = htons(address.port);
  return out;
}

void set_option(const Socket& socket, int level, int option, int value) {
  // Only ever a tuning: a kernel that refuses one still carries the bytes.
  (void)::setsockopt(socket.fd(), level, option, &value, sizeof value);
}

Error system_error(const char* verb, const Address& address) {
  return permanent(ErrorKind::unavailable, "{} {}: {}", verb, format_address(address),
                   std::strerror(errno));
}

}  // namespace

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::reset() {
  if (fd_ < 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

Result<Address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Address address;
  in_addr host{};
  if (colon != std::string::npos &&
      ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &host) == 1) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    address.host = host.s_addr;
    if (error == std::errc() && stop == end) return address;
  }
  return permanent(ErrorKind::invalid, "address '{}': write it as 127.0.0.1:7432", text);
}

std::string format_address(const Address& address) {
  char host[INET_ADDRSTRLEN] = {};
  const in_addr raw{address.host};
  ::inet_ntop(AF_INET, &raw, host, sizeof host);
  return fmt::format("{}:{}", host, address.port);
}

Result<Socket> listen_on(const Address& address) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.open()) return system_error("socket for", address);
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(socket, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  const sockaddr_in where = native(address);
  if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 ||
      ::listen(socket.fd(), kBacklog) != 0)
    return system_error("listen on", address);
  return socket;
}

Socket accept_from(const Socket& listener) {
  Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket.open()) set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

Result<Socket> connect_to(const Address& address) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.open()) return system_error("socket for", address);
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  const sockaddr_in where = native(address);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 &&
      errno != EINPROGRESS)
    return system_error("connect to", address);
  return socket;
}

void set_receive_buffer(const Socket& socket, int bytes) {
  if (socket.open()) set_option(socket, SOL_SOCKET, SO_RCVBUF, bytes);
}

bool connected(const Socket& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

Address local_address(const Socket& socket) {
  sockaddr_in raw{};
  socklen_t size = sizeof raw;
  (void)::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&raw), &size);
  return {raw.sin_addr.s_addr, ntohs(raw.sin_port)};
}

}  // namespace farshore::wan
