// TunPath: two network namespaces of this process, joined by a path with a delay each way that the
// kernel's TCP sees as it sees a WAN: its own round trip time, window and retransmissions. Needs
// root. A thread that has joined an end, and each that it starts, has its sockets there.
#pragma once

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>

#include "base/check.h"
#include "os/real/real_world.h"
#include "os/thread.h"

namespace farshore::bench {

class TunPath {
 public:
  static constexpr const char* kAddresses[] = {"10.77.0.1", "10.77.0.2"};

  // buffer_max: what a socket's buffers may grow to, as `farshore check` asks for; 0: as it is.
  TunPath(Duration one_way, std::uint64_t buffer_max) : one_way_(one_way), buffer_max_(buffer_max) {
    for (const int end : {0, 1})
      os::Thread("tun-end", [this, end](std::stop_token) { make(end); }).join();
    mover_ = os::Thread("tun", [this](std::stop_token stop) { move(stop); });
  }
  ~TunPath() {
    mover_ = {};
    for (const int fd : {tuns_[0], tuns_[1], spaces_[0], spaces_[1]}) ::close(fd);
  }

  void join(int end) {
    const int joined = ::setns(spaces_[static_cast<std::size_t>(end)], CLONE_NEWNET);
    FARSHORE_CHECK(joined == 0, "setns: {}", std::strerror(errno));
  }

 private:
  static constexpr int kQueuePackets = 20'000;
  static constexpr std::size_t kPacketMax = 1500;
  struct Packet {
    MonotonicTime due;
    std::size_t size;
    std::array<char, kPacketMax> bytes;
  };
  using Queue = std::deque<Packet>;

  void make(int end) {
    FARSHORE_CHECK(::unshare(CLONE_NEWNET) == 0, "a network namespace (are we root?): {}",
                   std::strerror(errno));
    spaces_[static_cast<std::size_t>(end)] =
        ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    const int tun = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    FARSHORE_CHECK(tun >= 0, "/dev/net/tun: {}", std::strerror(errno));
    ifreq request = named();
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    FARSHORE_CHECK(::ioctl(tun, TUNSETIFF, &request) == 0, "TUNSETIFF: {}", std::strerror(errno));
    tuns_[static_cast<std::size_t>(end)] = tun;
    const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request = named();
    request.ifr_qlen = kQueuePackets;
    set(control, SIOCSIFTXQLEN, request);
    set_address(control, SIOCSIFADDR, 0x0A4D0001U + static_cast<unsigned>(end));
    set_address(control, SIOCSIFNETMASK, 0xFFFFFFFCU);
    request = named();
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    set(control, SIOCSIFFLAGS, request);
    ::close(control);
    if (buffer_max_ > 0)
      for (const char* name : {"tcp_wmem", "tcp_rmem"}) set_buffers(name);
  }
  void set_buffers(const char* name) const {
    const auto world = os::make_real_world(std::nullopt);
    auto file = world->files().open(std::string("/proc/sys/net/ipv4/") + name, os::OpenMode::write);
    FARSHORE_CHECK(file.ok(), "{}: {}", name, file.error().what);
    const auto written = (*file)->write_at(0, fmt::format("4096 131072 {}", buffer_max_));
    FARSHORE_CHECK(written.ok(), "{}: {}", name, written.error().what);
  }

  static ifreq named() {
    ifreq request{};
    std::strcpy(request.ifr_name, "path");
    return request;
  }
  static void set(int control, unsigned long what, ifreq& request) {
    FARSHORE_CHECK(::ioctl(control, what, &request) == 0, "interface, {:#x}: {}", what,
                   std::strerror(errno));
  }
  static void set_address(int control, unsigned long what, std::uint32_t address) {
    ifreq request = named();
    sockaddr_in in{.sin_family = AF_INET, .sin_addr = {htonl(address)}};
    std::memcpy(&request.ifr_addr, &in, sizeof in);
    set(control, what, request);
  }

  void move(const std::stop_token& stop) {
    // A WAN does not wait for a processor of the ends.
    const sched_param first{.sched_priority = 1};
    FARSHORE_CHECK(::sched_setscheduler(0, SCHED_FIFO, &first) == 0, "sched_setscheduler: {}",
                   std::strerror(errno));
    Queue queues[2];  // from end 0, from end 1; bounded by what TCP has in flight
    while (!stop.stop_requested()) {
      for (const std::size_t from : {0, 1}) {
        take(tuns_[from], queues[from]);
        give(queues[from], tuns_[1 - from]);
      }
      wait(queues);
    }
  }
  void take(int tun, Queue& queue) const {
    for (int i = 0; i < 64; ++i) {  // the other direction has its turn
      Packet& packet = queue.emplace_back();
      const ssize_t size = ::read(tun, packet.bytes.data(), kPacketMax);
      if (size <= 0) return queue.pop_back();
      packet.size = static_cast<std::size_t>(size);
      packet.due = os::real_monotonic_now() + one_way_;
    }
  }
  static void give(Queue& queue, int tun) {
    const MonotonicTime now = os::real_monotonic_now();
    for (; !queue.empty() && queue.front().due <= now; queue.pop_front())
      (void)!::write(tun, queue.front().bytes.data(), queue.front().size);
  }
  void wait(const Queue (&queues)[2]) const {
    Duration most = 100ms;
    for (const Queue& queue : queues)
      if (!queue.empty()) most = std::min(most, queue.front().due - os::real_monotonic_now());
    if (most <= Duration::zero()) return;
    pollfd fds[] = {{tuns_[0], POLLIN, 0}, {tuns_[1], POLLIN, 0}};
    const timespec timeout{.tv_sec = 0, .tv_nsec = most.count()};
    (void)::ppoll(fds, 2, &timeout, nullptr);
  }

  const Duration one_way_;
  const std::uint64_t buffer_max_;
  std::array<int, 2> tuns_{-1, -1}, spaces_{-1, -1};
  os::Thread mover_;
};

}  // namespace farshore::bench
