#include "wan/proxy.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "wan/control.h"

namespace farshore::wan {
namespace {

constexpr int kEventsMax = 64;
constexpr int kReceiveBufferMin = 1 << 16;  // about a segment of the loopback interface
constexpr std::uint64_t kLagMax = 512_KiB;  // of what one connection took behind another

MonotonicTime now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return MonotonicTime(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

const char* name_of(WanState state) {
  switch (state) {
    case WanState::open:
      return "open";
    case WanState::cut:
      return "cut";
    case WanState::dropping:
      return "dropping";
  }
  return "?";
}

void add_to_epoll(const Socket& epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  (void)::epoll_ctl(epoll.fd(), EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

Proxy::Proxy(const ProxyOptions& options) : options_(options) {
  set_rtt(options.rtt);
  set_rate(options.rate);
}

Proxy::~Proxy() = default;

Result<void> Proxy::start() {
  epoll_ = Socket(::epoll_create1(EPOLL_CLOEXEC));
  timer_ = Socket(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  signals_ = Socket(::signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!epoll_.open() || !timer_.open() || !signals_.open())
    return permanent(ErrorKind::io, "wan: no epoll, timerfd or signalfd: {}", std::strerror(errno));
  add_to_epoll(epoll_, timer_.fd());
  add_to_epoll(epoll_, signals_.fd());
  if (options_.control) {
    FARSHORE_TRY_ASSIGN(control_, listen_on(*options_.control));
    add_to_epoll(epoll_, control_.fd());
  }
  return open_listeners();
}

Result<void> Proxy::open_listeners() {
  std::vector<Socket> listeners;
  for (const Pair& pair : options_.pairs) {
    FARSHORE_TRY_ASSIGN(Socket listener, listen_on(pair.listen));
    listeners.push_back(std::move(listener));
  }
  listeners_ = std::move(listeners);
  for (const Socket& listener : listeners_) add_to_epoll(epoll_, listener.fd());
  return {};
}

Result<void> Proxy::run() {
  epoll_event events[kEventsMax];
  while (!stopping_) {
    step_all();
    const int count = ::epoll_wait(epoll_.fd(), events, kEventsMax, -1);
    if (count < 0 && errno != EINTR)
      return permanent(ErrorKind::io, "epoll_wait: {}", std::strerror(errno));
    for (int i = 0; i < count; ++i) take(events[i].data.fd, events[i].events);
  }
  return {};
}

void Proxy::take(int fd, std::uint32_t events) {
  if (const auto found = side_of_fd_.find(fd); found != side_of_fd_.end()) {
    Crossing::Side& side = found->second.first->side(found->second.second);
    const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (broken || (events & EPOLLIN)) side.readable = true;
    if (broken || (events & EPOLLOUT)) side.writable = true;
  } else if (fd == timer_.fd()) {
    std::uint64_t times = 0;
    (void)!::read(fd, &times, sizeof times);
  } else if (fd == signals_.fd()) {
    stopping_ = true;
  } else if (fd == control_.fd()) {
    accept_control();
  } else if (const auto control = controls_.find(fd); control != controls_.end()) {
    if (!read_control(control->second)) controls_.erase(control);
  }
  // Listeners are asked in step_all(): while packets are dropped nobody accepts.
}

void Proxy::accept_all(const Pair& pair, const Socket& listener) {
  for (;;) {
    if (crossings_.size() >= kCrossingsMax) return;
    Socket caller = accept_from(listener);
    if (!caller.open()) return;
    ++accepted_;
    Pipe& forward = pair.from_far ? to_near_ : to_far_;
    Pipe& backward = pair.from_far ? to_far_ : to_near_;
    crossings_.push_back(std::make_unique<Crossing>(std::move(caller), pair.target, now() + rtt_,
                                                    forward, backward));
    crossings_.back()->set_receive_buffers(receive_buffer_bytes());
  }
}

void Proxy::step_all() {
  if (state_ == WanState::open)
    for (std::size_t i = 0; i < listeners_.size(); ++i)
      accept_all(options_.pairs[i], listeners_[i]);
  // While packets are dropped the listeners stay silent too: their events must not spin the loop.
  for (const Socket& listener : listeners_) {
    const bool full = crossings_.size() >= kCrossingsMax;
    epoll_event event{.events = state_ == WanState::open && !full ? EPOLLIN : 0u,
                      .data = {.fd = listener.fd()}};
    (void)::epoll_ctl(epoll_.fd(), EPOLL_CTL_MOD, listener.fd(), &event);
  }

  side_of_fd_.clear();  // the number of a socket that was closed may be another one's now
  MonotonicTime wake = MonotonicTime::max();
  for (auto it = crossings_.begin(); it != crossings_.end();) {
    Crossing& crossing = **it;
    const bool moves = state_ != WanState::dropping;
    if (moves) crossing.step(now());
    if (crossing.finished()) {
      it = crossings_.erase(it);
      continue;
    }
    for (int index : {0, 1}) {
      Crossing::Side& side = crossing.side(index);
      if (!side.socket.open()) continue;
      side_of_fd_[side.socket.fd()] = {&crossing, index};
      const std::uint32_t wanted = (moves && crossing.wants_read(index) ? EPOLLIN : 0u) |
                                   (moves && crossing.wants_write(index) ? EPOLLOUT : 0u);
      watch(side.socket.fd(), side.watched, wanted);
    }
    if (moves) wake = std::min(wake, crossing.wakes_at());
    ++it;
  }
  order_by_need();
  arm_timer(wake);
}

// A full pipe has room for one: who took least is first. Who was idle does not get all of it back.
void Proxy::order_by_need() {
  std::uint64_t most = 0;
  for (const auto& crossing : crossings_) most = std::max(most, crossing->taken_bytes());
  for (const auto& crossing : crossings_)
    crossing->count_taken_at_least(most > kLagMax ? most - kLagMax : 0);
  crossings_.sort(
      [](const auto& one, const auto& other) { return one->taken_bytes() < other->taken_bytes(); });
}

void Proxy::watch(int fd, std::uint32_t& watched, std::uint32_t wanted) {
  if (watched == wanted) return;
  // An fd that is watched for nothing would still report errors and hangups: it is taken out.
  epoll_event event{.events = wanted, .data = {.fd = fd}};
  const int operation = watched == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  (void)::epoll_ctl(epoll_.fd(), operation, fd, &event);
  watched = wanted;
}

void Proxy::arm_timer(MonotonicTime at) {
  itimerspec when{};
  if (at != MonotonicTime::max()) {
    const auto nanoseconds = std::max<std::int64_t>(1, at.time_since_epoch().count());
    when.it_value = {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
  }
  (void)::timerfd_settime(timer_.fd(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Proxy::accept_control() {
  Socket socket = accept_from(control_);
  if (!socket.open() || controls_.size() >= kControlConnectionsMax) return;
  const int fd = socket.fd();
  add_to_epoll(epoll_, fd);
  controls_[fd].socket = std::move(socket);
}

bool Proxy::read_control(ControlConnection& connection) {
  char bytes[kControlLineMax];
  const ssize_t count = ::recv(connection.socket.fd(), bytes, sizeof bytes, 0);
  if (count < 0 && errno == EAGAIN) return true;
  if (count <= 0) return false;
  connection.input.append(bytes, static_cast<std::size_t>(count));
  for (std::size_t end; (end = connection.input.find('\n')) != std::string::npos;) {
    std::string line = connection.input.substr(0, end);
    connection.input.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    const std::string answer = obey(line) + "\n";
    const ssize_t sent = ::send(connection.socket.fd(), answer.data(), answer.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(answer.size())) return false;
  }
  return connection.input.size() <= kControlLineMax;
}

std::string Proxy::obey(const std::string& line) {
  const auto command = parse_command(line);
  if (!command) return "error: " + command.error().what;
  if (const auto* rtt = std::get_if<SetRtt>(&*command)) {
    set_rtt(rtt->rtt);
  } else if (const auto* rate = std::get_if<SetRate>(&*command)) {
    set_rate(rate->bits_per_second);
  } else {
    switch (std::get<Verb>(*command)) {
      case Verb::cut:
        cut();
        break;
      case Verb::drop:
        heal();
        state_ = WanState::dropping;
        break;
      case Verb::heal:
        heal();
        break;
      case Verb::swallow:
        for (auto& crossing : crossings_) crossing->swallow();
        break;
      case Verb::half_open:
        for (auto& crossing : crossings_) crossing->half_open();
        break;
      case Verb::stats:
        return "ok " + stats();
    }
  }
  return state_ == WanState::cut || !listeners_.empty() ? "ok" : "error: could not listen again";
}

void Proxy::cut() {
  state_ = WanState::cut;
  listeners_.clear();
  for (auto& crossing : crossings_) crossing->reset();
}

void Proxy::heal() {
  state_ = WanState::open;
  if (listeners_.empty()) (void)open_listeners().ok();
}

void Proxy::set_rtt(Duration rtt) {
  rtt_ = rtt;
  to_far_.set_delay(rtt / 2);
  to_near_.set_delay(rtt / 2);
}

void Proxy::set_rate(std::optional<std::uint64_t> rate) {
  rate_ = rate;
  to_far_.set_rate(rate);
  to_near_.set_rate(rate);
  for (const auto& crossing : crossings_) crossing->set_receive_buffers(receive_buffer_bytes());
}

// A way has no store before its bottleneck but the bottleneck's own queue: what our kernel held
// beyond it would delay what is urgent by more than any real way does. 6 connections with 512 KiB
// each are 6 s at 4 Mbit/s.
int Proxy::receive_buffer_bytes() const {
  if (!rate_) return kReceiveBufferBytes;
  const double queue = static_cast<double>(*rate_) / 8 * seconds_of(kBottleneckQueue);
  return static_cast<int>(std::clamp<double>(queue, kReceiveBufferMin, kReceiveBufferBytes));
}

std::string Proxy::stats() {
  std::uint64_t held = 0;
  for (const auto& crossing : crossings_) held += crossing->held_bytes();
  return fmt::format(
      R"({{"state":"{}","rtt_ms":{:.3f},"rate_bits":{},"connections":{},"accepted":{},)"
      R"("to_far_bytes":{},"to_near_bytes":{},"held_bytes":{}}})",
      name_of(state_), seconds_of(rtt_) * 1e3, rate_ ? std::to_string(*rate_) : "null",
      crossings_.size(), accepted_, to_far_.total(), to_near_.total(), held);
}

}  // namespace farshore::wan
