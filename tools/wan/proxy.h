// Proxy: a WAN between two regions for TCP connections on one machine. All pairs share its two
// directions; what it can be told is in control.h. One thread runs it.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "wan/crossing.h"

namespace farshore::wan {

constexpr std::size_t kCrossingsMax = 128;
constexpr std::size_t kControlConnectionsMax = 16;
constexpr std::size_t kControlLineMax = 256;

struct Pair {
  Address listen, target;
  bool from_far = false;  // who connects here is at the far end of the WAN
};

struct ProxyOptions {
  std::vector<Pair> pairs;
  std::optional<Address> control;
  Duration rtt{};
  std::optional<std::uint64_t> rate;  // bits per second, each direction
};

enum class WanState { open, cut, dropping };

class Proxy {
 public:
  explicit Proxy(const ProxyOptions& options);
  ~Proxy();

  Result<void> start();  // listens
  // Until the process is asked to end (SIGTERM, SIGINT). Returns why it could not go on.
  Result<void> run();
  // One control command; the answer without its line end.
  std::string obey(const std::string& command);

 private:
  struct ControlConnection {
    Socket socket;
    std::string input;
  };

  Result<void> open_listeners();
  void cut();
  void heal();
  void set_rtt(Duration rtt);
  void set_rate(std::optional<std::uint64_t> rate);
  int receive_buffer_bytes() const;  // of each socket
  std::string stats();

  void accept_all(const Pair& pair, const Socket& listener);
  void accept_control();
  bool read_control(ControlConnection& connection);  // false: it ended
  void step_all();
  void order_by_need();
  void watch(int fd, std::uint32_t& watched, std::uint32_t wanted);
  void arm_timer(MonotonicTime at);
  void take(int fd, std::uint32_t events);

  const ProxyOptions options_;
  Duration rtt_;
  std::optional<std::uint64_t> rate_;
  WanState state_ = WanState::open;
  Pipe to_far_, to_near_;
  Socket epoll_, timer_, signals_, control_;
  std::vector<Socket> listeners_;  // as options_.pairs; empty while cut
  std::list<std::unique_ptr<Crossing>> crossings_;
  std::map<int, std::pair<Crossing*, int>> side_of_fd_;
  std::map<int, ControlConnection> controls_;
  std::uint64_t accepted_ = 0;
  bool stopping_ = false;
};

}  // namespace farshore::wan
