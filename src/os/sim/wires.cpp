#include "os/sim/wires.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace farshore::os::sim {
namespace {

constexpr std::size_t kSegmentMax = 64 * 1024;
constexpr std::size_t kBacklogMax = 128;
constexpr Duration kConnectMax = 127s;                  // of Linux, with tcp_syn_retries 6
constexpr Duration kUserTimeout = 15s;                  // as TCP_USER_TIMEOUT of the real network
constexpr Duration kNoticeMin = 10ms, kNoticeMax = 3s;  // from a cut until a side knows
constexpr Duration kSpikeMin = 200ms, kSpikeMax = 3s;   // of a delay spike that comes by chance

Error unavailable(const std::string& peer, const std::string& why) {
  return transient(ErrorKind::unavailable, "connection to {}: {}", peer, why);
}

Error timed_out(const std::string& address) {
  return transient(ErrorKind::timeout,
                   "connect to '{}': no answer in time: does a firewall drop it?", address);
}

std::pair<std::string, std::string> split(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {address, ""};
  return {address.substr(0, colon), address.substr(colon + 1)};
}

}  // namespace

Wires::Wires(Core& core, const Options& options, FaultCounts& counts)
    : core_(core), defaults_(options.wire), counts_(counts), random_(options.seed, "network") {}

Wire& Wires::wire(const std::string& from, const std::string& to) {
  const auto [found, fresh] = wires_.try_emplace({from, to});
  if (fresh && from != to) found->second.options = defaults_;
  if (fresh && from == to) found->second.options = WireOptions{.latency = 20us, .jitter = 10us};
  return found->second;
}

void Wires::host_started(const std::string& name) {
  hosts_[name].silent = false;
}

// --- listening and connecting

Result<std::shared_ptr<ListeningPort>> Wires::listen(const Life& life, const std::string& address) {
  core_.switch_point("listen");
  auto [host, port] = split(address);
  if (port.empty()) {
    return permanent(ErrorKind::invalid,
                     "address '{}' is not understood: write host:port or [IPv6]:port", address);
  }
  if (port == "0") port = std::to_string(next_port_++);
  if (port_at(life.host, port) != nullptr) {
    return permanent(ErrorKind::unavailable, "listen on '{}': another process has that port",
                     address);
  }
  auto listening = std::make_shared<ListeningPort>();
  listening->life = &life;
  listening->address = life.host + ":" + port;
  ports_.push_back(listening);
  return listening;
}

std::shared_ptr<ListeningPort> Wires::port_at(const std::string& host, const std::string& port) {
  const auto found = std::find_if(ports_.begin(), ports_.end(), [&](const auto& p) {
    return !p->closed && p->life->alive && p->address == host + ":" + port;
  });
  return found == ports_.end() ? nullptr : *found;
}

// One round trip to the host, unless there is no way or nobody to answer.
Result<void> Wires::wait_for_answer(const Life& life, const std::string& host,
                                    const std::string& address, Deadline deadline,
                                    const std::stop_token& stop) {
  deadline = earlier(deadline, Deadline::after(core_.now(), kConnectMax));
  const Wire& out = wire(life.host, host);
  const Wire& back = wire(host, life.host);
  const Duration trip =
      out.options.latency + back.options.latency + random_.duration(0ns, out.options.jitter);
  const Duration left = deadline.left(core_.now());
  core_.sleep(std::min(trip, left), "connect");
  if (trip > left) return timed_out(address);
  const bool silent = out.swallowed || back.swallowed || hosts_[host].silent;
  const bool cut = out.cut || back.cut;
  if (silent || (cut && random_.chance(0.5))) {
    const char nobody = 0;
    const std::stop_callback wake(stop, [&] { core_.wake(&nobody, true); });
    if (!stop.stop_requested()) core_.block_on(&nobody, deadline, "connect");
    if (!stop.stop_requested()) return timed_out(address);
    return permanent(ErrorKind::closed, "connect to '{}': connecting was stopped", address);
  }
  if (cut) {
    return transient(ErrorKind::unavailable,
                     "connect to '{}': No route to host: is there a route from here?", address);
  }
  return {};
}

Result<LinePointer> Wires::connect(const Life& life, const std::string& address, Deadline deadline,
                                   const std::stop_token& stop) {
  core_.switch_point("connect");
  const auto [host, port] = split(address);
  if (!hosts_.contains(host)) {
    return transient(ErrorKind::unavailable, "name '{}' of address '{}' cannot be resolved", host,
                     address);
  }
  FARSHORE_TRY(wait_for_answer(life, host, address, deadline, stop));
  const std::shared_ptr<ListeningPort> listening = port_at(host, port);
  const bool refused = hosts_[host].refuses;
  if (refused) counts_.count(Fault::refuse);
  if (refused || listening == nullptr || listening->waiting.size() >= kBacklogMax) {
    return transient(ErrorKind::unavailable,
                     "connect to '{}': Connection refused: nothing listens there: is the agent "
                     "running, is the port "
                     "right?",
                     address);
  }
  auto line = std::make_shared<Line>();
  line->number = next_line_++;
  line->ends[0].life = &life;
  line->ends[1].life = listening->life;
  drop_ended_lines();
  lines_.push_back(line);
  listening->waiting.push_back(line);
  core_.wake(listening.get(), false);
  return line;
}

void Wires::drop_ended_lines() {
  std::erase_if(lines_, [](const std::weak_ptr<Line>& line) { return line.expired(); });
  std::erase_if(ports_, [](const auto& port) { return port->closed || !port->life->alive; });
}

Result<LinePointer> Wires::accept(ListeningPort& port, Deadline deadline) {
  core_.switch_point("accept");
  while (true) {
    if (port.closed)
      return permanent(ErrorKind::closed, "the listener on '{}' was closed", port.address);
    if (!port.waiting.empty()) {
      LinePointer line = std::move(port.waiting.front());
      port.waiting.pop_front();
      return line;
    }
    if (!core_.block_on(&port, deadline, "accept")) {
      return transient(ErrorKind::timeout, "nobody connected to '{}'", port.address);
    }
  }
}

void Wires::close(ListeningPort& port) {
  core_.switch_point("close");
  if (port.closed) return;
  port.closed = true;
  core_.wake(&port, true);
  for (const LinePointer& line : std::exchange(port.waiting, {})) close(line, 1);
}

// --- bytes

Result<std::size_t> Wires::read(Line& line, int side, char* into, std::size_t count,
                                Deadline deadline) {
  End& end = line.ends[side];
  const std::string& peer = line.ends[1 - side].life->host;
  core_.switch_point("receive");
  while (true) {
    if (end.closed)
      return permanent(ErrorKind::closed, "the connection to {} was closed on this side", peer);
    if (const std::size_t there = end.received.size() - end.read_from; there > 0) {
      count = std::min(count, there);
      if (count > 1 && random_.chance(0.125)) count = random_.between(1, count);
      std::memcpy(into, end.received.data() + end.read_from, count);
      end.read_from += count;
      end.in_flight -= count;
      if (end.read_from == end.received.size()) end.received.clear(), end.read_from = 0;
      core_.wake(&line.ends[1 - side].writable, true);
      return count;
    }
    if (!end.broken.empty()) return unavailable(peer, end.broken);
    if (end.peer_ended) return transient(ErrorKind::unavailable, "{} closed the connection", peer);
    if (!core_.block_on(&end.readable, deadline, "receive")) {
      return transient(ErrorKind::timeout, "{} sent nothing in time", peer);
    }
  }
}

Result<void> Wires::write(const LinePointer& line, int side, ByteView bytes, Deadline deadline) {
  End& end = line->ends[side];
  End& other = line->ends[1 - side];
  const std::string& peer = other.life->host;
  Wire& out = wire(end.life->host, peer);
  core_.switch_point_with("send", chain_hash(line->number, bytes));
  chance_faults(line, side, out);
  while (!bytes.empty()) {
    if (end.closed)
      return permanent(ErrorKind::closed, "the connection to {} was closed on this side", peer);
    if (!end.broken.empty()) return unavailable(peer, end.broken);
    if (other.in_flight < out.options.window_bytes) {
      const std::uint64_t room = out.options.window_bytes - other.in_flight;
      std::size_t count = std::min<std::size_t>({bytes.size(), room, kSegmentMax});
      if (count > 1 && random_.chance(0.25)) count = random_.between(1, count);
      send(line, side, bytes.substr(0, count), out);
      bytes.remove_prefix(count);
    } else if (!core_.block_on(&end.writable, deadline, "send")) {
      return transient(ErrorKind::timeout, "{} took nothing in time", peer);
    }
  }
  return {};
}

void Wires::send(const LinePointer& line, int side, ByteView bytes, Wire& out) {
  End& other = line->ends[1 - side];
  other.in_flight += bytes.size();
  const bool nobody_there =
      !other.life->alive && !hosts_[other.life->host].silent && !out.cut && !out.swallowed;
  if (other.closed || nobody_there) {
    return break_end(line, side, "Connection reset by peer", out.options.latency * 2);
  }
  if (!other.hears || out.swallowed || out.cut) {
    // Nothing of this line arrives from now on: later bytes must not pass the lost ones.
    other.hears = false;
    return break_end(line, side, "Connection timed out", kUserTimeout);
  }
  const Duration now = core_.virtual_time();
  Duration leaves = now;
  if (out.options.bytes_per_second > 0) {
    leaves = std::max(now, out.free_at) +
             Duration(bytes.size() * 1'000'000'000 / out.options.bytes_per_second);
    out.free_at = leaves;
  }
  Duration arrival =
      leaves + out.options.latency + random_.duration(Duration(0), out.options.jitter);
  if (now < out.spike_until) arrival += out.spike_extra;
  other.last_arrival = std::max(arrival, other.last_arrival);
  core_.schedule(other.last_arrival,
                 [this, line, side, copy = Bytes(bytes)] { deliver(*line, 1 - side, copy); });
}

void Wires::deliver(Line& line, int side, const Bytes& bytes) {
  End& end = line.ends[side];
  if (!end.hears || end.closed || !end.broken.empty()) return;
  end.received += bytes;
  core_.wake(&end.readable, true);
}

void Wires::close(const LinePointer& line, int side) {
  End& end = line->ends[side];
  End& other = line->ends[1 - side];
  if (end.closed) return;
  end.closed = true;
  end.received.clear();
  end.read_from = 0;
  core_.wake(&end.readable, true);
  core_.wake(&end.writable, true);
  const Wire& out = wire(end.life->host, other.life->host);
  if (!other.hears || out.swallowed || out.cut) return;
  const Duration arrival = core_.virtual_time() + out.options.latency;
  other.last_arrival = std::max(arrival, other.last_arrival);
  if (end.in_flight > 0) {
    // Closed with unread bytes: the kernel resets, which may overtake what we wrote last.
    const Duration when = random_.chance(0.5) ? arrival : other.last_arrival;
    return break_end(line, 1 - side, "Connection reset by peer", when - core_.virtual_time());
  }
  core_.schedule(other.last_arrival, [this, line, side] {
    End& peer = line->ends[1 - side];
    if (!peer.hears) return;
    peer.peer_ended = true;
    core_.wake(&peer.readable, true);
  });
}

TransportStats Wires::stats(const Line& line, int side) {
  const std::string& own = line.ends[side].life->host;
  const std::string& peer = line.ends[1 - side].life->host;
  const Wire& out = wire(own, peer);
  const Duration waits = std::max(out.free_at - core_.virtual_time(), Duration::zero());
  const double unsent = seconds_of(waits) * static_cast<double>(out.options.bytes_per_second);
  return {out.options.latency + wire(peer, own).options.latency,
          static_cast<std::uint64_t>(unsent)};
}

// --- faults

std::vector<LinePointer> Wires::lines_between(const std::string& a, const std::string& b) {
  std::vector<LinePointer> found;
  for (const std::weak_ptr<Line>& weak : lines_) {
    const LinePointer line = weak.lock();
    if (line == nullptr) continue;
    const std::string& from = line->ends[0].life->host;
    const std::string& to = line->ends[1].life->host;
    if ((from == a && to == b) || (from == b && to == a)) found.push_back(line);
  }
  return found;
}

// After `when` this side answers `unavailable`, once it has read what had arrived.
void Wires::break_end(const LinePointer& line, int side, const std::string& why, Duration when) {
  core_.schedule(core_.virtual_time() + when, [this, line, side, why] {
    End& end = line->ends[side];
    if (!end.broken.empty() || end.closed) return;
    end.broken = why;
    end.hears = false;
    core_.wake(&end.readable, true);
    core_.wake(&end.writable, true);
  });
}

void Wires::chance_faults(const LinePointer& line, int side, Wire& out) {
  const WireOptions& chances = out.options;
  if (random_.chance(chances.reset)) {
    counts_.count(Fault::reset);
    for (int each : {0, 1})
      break_end(line, each, "Connection reset by peer", random_.duration(0ns, 50ms));
    for (End& end : line->ends) end.hears = false;
  }
  if (random_.chance(chances.half_open)) {
    counts_.count(Fault::half_open);
    line->ends[1 - side].hears = false;
  }
  if (random_.chance(chances.swallow)) {
    counts_.count(Fault::swallow);
    for (End& end : line->ends) end.hears = false;
  }
  if (random_.chance(chances.delay_spike)) {
    counts_.count(Fault::delay_spike);
    out.spike_extra = random_.duration(kSpikeMin, kSpikeMax);
    out.spike_until = core_.virtual_time() + random_.duration(kSpikeMin, kSpikeMax);
  }
}

void Wires::cut(const std::string& a, const std::string& b) {
  counts_.count(Fault::cut);
  wire(a, b).cut = wire(b, a).cut = true;
  for (const LinePointer& line : lines_between(a, b)) {
    for (int side : {0, 1}) {
      line->ends[side].hears = false;
      break_end(line, side, "Connection timed out", random_.duration(kNoticeMin, kNoticeMax));
    }
  }
}

void Wires::heal(const std::string& a, const std::string& b) {
  for (Wire* each : {&wire(a, b), &wire(b, a)}) each->cut = each->swallowed = false;
}

void Wires::reset(const std::string& a, const std::string& b) {
  for (const LinePointer& line : lines_between(a, b)) {
    counts_.count(Fault::reset);
    for (int side : {0, 1}) {
      line->ends[side].hears = false;
      break_end(line, side, "Connection reset by peer", random_.duration(0ns, 50ms));
    }
  }
}

void Wires::half_open(const std::string& deaf, const std::string& other) {
  for (const LinePointer& line : lines_between(deaf, other)) {
    counts_.count(Fault::half_open);
    line->ends[line->ends[0].life->host == deaf ? 0 : 1].hears = false;
  }
}

void Wires::swallow(const std::string& a, const std::string& b) {
  counts_.count(Fault::swallow);
  wire(a, b).swallowed = wire(b, a).swallowed = true;
  for (const LinePointer& line : lines_between(a, b))
    for (End& end : line->ends) end.hears = false;
}

void Wires::spike(const std::string& a, const std::string& b, Duration extra, Duration how_long) {
  counts_.count(Fault::delay_spike);
  for (Wire* each : {&wire(a, b), &wire(b, a)}) {
    each->spike_extra = extra;
    each->spike_until = core_.virtual_time() + how_long;
  }
}

void Wires::refuse(const std::string& host, bool refused) {
  hosts_[host].refuses = refused;
}

void Wires::host_died(const Life& life, bool silently) {
  hosts_[life.host].silent = silently;
  if (silently) counts_.count(Fault::half_open);
  for (const std::weak_ptr<Line>& weak : lines_) {
    const LinePointer line = weak.lock();
    if (line == nullptr) continue;
    for (int side : {0, 1}) {
      if (line->ends[side].life != &life) continue;
      line->ends[side].hears = false;
      line->ends[1 - side].hears = line->ends[1 - side].hears && !silently;
      if (silently) continue;
      const Duration latency = wire(life.host, line->ends[1 - side].life->host).options.latency;
      break_end(line, 1 - side, "Connection reset by peer", latency);
    }
  }
}

}  // namespace farshore::os::sim
