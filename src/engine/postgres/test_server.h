// TestServer: a throw-away PostgreSQL cluster for *_pgtest programs: made, started and removed with
// the object. As root it runs as user postgres. Superuser "postgres" by trust on 127.0.0.1.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/check.h"

namespace farshore::postgres {

// The binary folders of the servers that are on this machine, oldest first. Never empty.
inline std::vector<std::string> server_bin_folders() {
  std::vector<std::string> found;
  for (const char* folder : {"/usr/lib/postgresql/15/bin", "/var/cache/farshore/pg18/bin"})
    if (std::filesystem::exists(std::string(folder) + "/postgres")) found.emplace_back(folder);
  FARSHORE_CHECK(!found.empty(), "no PostgreSQL here: run ./dev setup");
  return found;
}

// A source and a target, for tests that run in all combinations of versions.
struct Servers {
  std::string source, target;
};
inline void PrintTo(const Servers& servers, std::ostream* out) {
  *out << servers.source << " " << servers.target;
}
inline std::vector<Servers> server_pairs() {
  std::vector<Servers> pairs;
  for (const std::string& source : server_bin_folders())
    for (const std::string& target : server_bin_folders()) pairs.push_back({source, target});
  return pairs;
}
// "pg15_to_pg18"
inline std::string pair_name(const Servers& servers) {
  const auto version = [](const std::string& bin) {
    return bin.find("15") != std::string::npos ? "pg15" : "pg18";
  };
  return std::string(version(servers.source)) + "_to_" + version(servers.target);
}

class TestServer {
 public:
  struct Options {
    std::string bin = server_bin_folders().front();
    int port = 0;                       // the first that is free from here on
    std::vector<std::string> settings;  // lines of postgresql.conf
  };

  explicit TestServer(Options options) : options_(std::move(options)) {
    while (!is_free(options_.port)) ++options_.port;
    char pattern[] = "/tmp/fspg-XXXXXX";
    FARSHORE_CHECK(mkdtemp(pattern) != nullptr, "no folder under /tmp");
    folder_ = pattern;
    std::filesystem::permissions(folder_, std::filesystem::perms::all);
    data_ = folder_ + "/data";
    run_checked(bin("initdb") + " -D " + data_ +
                " -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 --no-sync >" + folder_ +
                "/initdb.log 2>&1");
    std::ofstream conf(data_ + "/postgresql.conf", std::ios::app);
    conf << "port = " << options_.port << "\nlisten_addresses = '127.0.0.1'\n"
         << "unix_socket_directories = '" << data_ << "'\nwal_level = logical\n"
         << "max_wal_senders = 20\nmax_replication_slots = 20\nfsync = off\n"
         << "shared_buffers = 32MB\n";
    for (const std::string& line : options_.settings) conf << line << "\n";
    conf.close();
    start();
  }
  ~TestServer() {
    run(bin("pg_ctl") + " -D " + data_ + " -m immediate -w stop >/dev/null 2>&1");
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // What a crashed server leaves (a backend that still ends, its shared memory) may refuse the next
  // one for a moment.
  void start() {
    const std::string command = bin("pg_ctl") + " -D " + data_ + " -l " + data_ +
                                "/server.log -w -t 60 start >/dev/null 2>&1";
    int code = run(command);
    for (int tries = 1; code != 0 && tries < 10; ++tries) {
      run("sleep 1");
      code = run(command);
    }
    if (code != 0) run("tail -n 20 " + data_ + "/server.log >&2");
    FARSHORE_CHECK(code == 0, "exit code {}: {}", code, command);
  }
  void stop(const std::string& mode = "fast") {  // "immediate": as a crash
    run_checked(bin("pg_ctl") + " -D " + data_ + " -m " + mode + " -w stop >/dev/null 2>&1");
  }
  void restart() { stop(), start(); }
  // As a storage snapshot, which keep() takes and put_back() restores. Stopped for it.
  void keep() { copy(data_, folder_ + "/kept"); }
  void put_back() { copy(folder_ + "/kept", data_); }

  std::string conninfo(const std::string& database = "postgres") const {
    return "host=127.0.0.1 port=" + std::to_string(options_.port) +
           " user=postgres dbname=" + database;
  }
  int port() const { return options_.port; }
  const std::string& data_folder() const { return data_; }

 private:
  std::string bin(const std::string& program) const {
    const std::string as_user = geteuid() == 0 ? "cd / && runuser -u postgres -- " : "";
    return as_user + options_.bin + "/" + program;
  }
  void copy(const std::string& from, const std::string& to) {
    stop("immediate");
    run_checked("rm -rf " + to + " && cp -a " + from + " " + to);
    start();
  }
  // Two test programs may run at once.
  static bool is_free(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return bound;
  }
  static int run(const std::string& command) {
    const int status = std::system(command.c_str());  // NOLINT: tests only
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static void run_checked(const std::string& command) {
    const int code = run(command);
    FARSHORE_CHECK(code == 0, "exit code {}: {}", code, command);
  }

  Options options_;
  std::string folder_, data_;
};

}  // namespace farshore::postgres
