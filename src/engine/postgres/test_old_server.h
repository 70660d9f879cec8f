// OldServer: a port that says to be PostgreSQL of some version, to one client at a time, and
// answers each simple query with no rows: for versions that no machine here has.
#pragma once

#include <endian.h>

#include <cstdint>
#include <string>

#include "engine/postgres/test_port.h"
#include "os/thread.h"

namespace farshore::postgres {

class OldServer {
 public:
  explicit OldServer(std::string version) : version_(std::move(version)) {
    thread_ = os::Thread("server", [this](std::stop_token) {
      for (int client; (client = ::accept(port_.fd(), nullptr, nullptr)) >= 0;) {
        serve(client);
        ::close(client);
      }
    });
  }
  ~OldServer() {
    ::shutdown(port_.fd(), SHUT_RDWR);  // ends accept
    thread_.join();
  }
  OldServer(const OldServer&) = delete;
  OldServer& operator=(const OldServer&) = delete;

  std::string conninfo() const { return port_.conninfo() + " sslmode=disable gssencmode=disable"; }

 private:
  // PostgreSQL manual, "Message Formats": a letter, the length with itself, the content.
  static std::string message(char letter, const std::string& content) {
    const std::uint32_t size = htobe32(static_cast<std::uint32_t>(content.size() + 4));
    return letter + std::string(reinterpret_cast<const char*>(&size), sizeof size) + content;
  }
  static bool read(int client, void* to, std::size_t size) {
    return size == 0 || ::recv(client, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }
  static bool read_content(int client) {
    std::uint32_t size = 0;
    if (!read(client, &size, sizeof size)) return false;
    std::string content(be32toh(size) - 4, '\0');
    return read(client, content.data(), content.size());
  }
  static void send(int client, const std::string& text) {
    (void)::send(client, text.data(), text.size(), MSG_NOSIGNAL);
  }

  void serve(int client) {
    const std::string ready = message('Z', "I");
    if (!read_content(client)) return;  // the startup packet
    send(client, message('R', std::string(4, '\0')) +
                     message('S', std::string("server_version\0", 15) + version_ + '\0') + ready);
    char letter = 0;
    while (read(client, &letter, 1) && letter == 'Q' && read_content(client))
      send(client, message('C', std::string("SELECT 0\0", 9)) + ready);
  }

  const std::string version_;
  TestPort port_;
  os::Thread thread_;
};

}  // namespace farshore::postgres
