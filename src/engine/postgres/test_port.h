// TestPort: a port of this machine on which something listens, for servers that tests make up.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/check.h"

namespace farshore::postgres {

class TestPort {
 public:
  TestPort() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    FARSHORE_CHECK(::bind(fd_, reinterpret_cast<sockaddr*>(&address_), size) == 0 &&
                       ::listen(fd_, 1) == 0 &&
                       ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size) == 0,
                   "no socket to listen on");
  }
  ~TestPort() { ::close(fd_); }
  TestPort(const TestPort&) = delete;
  TestPort& operator=(const TestPort&) = delete;

  int fd() const { return fd_; }
  int port() const { return ntohs(address_.sin_port); }
  std::string conninfo() const {
    return fmt::format("host=127.0.0.1 port={} dbname=x user=x", port());
  }

 private:
  const int fd_;
  sockaddr_in address_{};
};

}  // namespace farshore::postgres
