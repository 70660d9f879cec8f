// SilentServer: a port that takes connections and never answers, for tests of what waits for a
// server.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/check.h"

namespace farshore::postgres {

class SilentServer {
 public:
  SilentServer() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    FARSHORE_CHECK(::bind(fd_, reinterpret_cast<sockaddr*>(&address_), size) == 0 &&
                       ::listen(fd_, 1) == 0 &&
                       ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size) == 0,
                   "no socket to listen on");
  }
  ~SilentServer() { ::close(fd_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;

  std::string conninfo() const {
    return fmt::format("host=127.0.0.1 port={} dbname=x user=x", ntohs(address_.sin_port));
  }

 private:
  int fd_;
  sockaddr_in address_{};
};

}  // namespace farshore::postgres
