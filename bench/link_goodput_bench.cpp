// modules: link os
// link-goodput: bytes per second that one channel of a link (TLS, up to 16 connections) carries
// over a path whose round trip time the kernel's TCP feels (bench/tun_path.h), at 0, 80 and 200 ms;
// the ratio is to that at 0, of which 1 Gbit/s counts. The bytes are random: nothing is won by
// compression. Needs root.
//   link_goodput_bench [--quick] [--json]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "link/link.h"
#include "os/mutex.h"
#include "os/real/test_certificates.h"
#include "os/real/test_folder.h"
#include "os/thread.h"
#include "tun_path.h"

using namespace farshore;

namespace {

constexpr std::size_t kMessageBytes = 512_KiB;  // as the pipeline ships
constexpr const char* kRegions[] = {"us", "eu"};

struct Settings {
  bool quick = false, json = false;
  Duration warm_up = 15s, measured = 15s;
};

template <class T>
T must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().what.c_str());
  std::exit(1);
}

// One region's agent, made in the thread that has entered its end of the path.
class Region {
 public:
  Region(int number, const os::TlsFiles& tls) : world_(os::make_real_world(tls)) {
    const auto address = [](int of) {
      return fmt::format("{}:7432", bench::TunPath::kAddresses[of]);
    };
    endpoint_ = must(link::Endpoint::make(*world_, address(number), [](const Event&) {}));
    link::Options options;
    options.cluster = "bench";
    options.own_region = kRegions[number];
    options.own_incarnation = kRegions[number];
    options.own_version = "bench";
    options.peer_region = kRegions[1 - number];
    options.peer_address = address(1 - number);
    link_ = must(endpoint_->add_peer(options, {.opened =
                                                   [this](const std::string&, link::Class,
                                                          std::unique_ptr<link::Channel> channel) {
                                                     const os::Lock lock(mutex_);
                                                     incoming_ = std::move(channel);
                                                     changed_.notify_all();
                                                   },
                                               .keepalive_payload = {},
                                               .keepalive_received = {}}));
  }
  ~Region() { endpoint_->close(); }

  link::Link& link() { return *link_; }
  Deadline after(Duration duration) { return world_->after(duration); }
  std::unique_ptr<link::Channel> incoming() {
    os::Lock lock(mutex_);
    changed_.wait(lock, after(30s), [this] { return incoming_ != nullptr; });
    return std::move(incoming_);
  }

 private:
  const std::unique_ptr<os::World> world_;
  os::Mutex mutex_;
  os::CondVar changed_;
  std::unique_ptr<link::Channel> incoming_;
  std::unique_ptr<link::Endpoint> endpoint_;
  link::Link* link_ = nullptr;
};

// More different messages than a compression window holds.
std::vector<Bytes> random_messages() {
  std::mt19937_64 random(1);
  std::vector<Bytes> messages(32, Bytes(kMessageBytes, '\0'));
  for (Bytes& message : messages)
    for (std::size_t at = 0; at + 8 <= message.size(); at += 8) {
      const std::uint64_t word = random();
      std::memcpy(message.data() + at, &word, sizeof word);
    }
  return messages;
}

void send_until_stopped(Region& region, link::Channel& channel, const std::stop_token& stop) {
  const std::vector<Bytes> messages = random_messages();
  for (std::size_t i = 0; !stop.stop_requested(); ++i)
    if (!channel.send(messages[i % messages.size()], region.after(60s)).ok()) return;
}

struct Path {
  Duration rtt;
  std::uint64_t buffer_max;  // 0: as the machine has it
};
// With what `farshore check` asks for at that round trip, and as it is.
constexpr Path kPaths[] = {{0s, 0}, {80ms, 0}, {80ms, 20'000'000}, {200ms, 0}, {200ms, 50'000'000}};

struct Measured {
  double megabits = 0;
  int connections = 0;
  double rtt_ms = 0;
};

Measured measure(Duration rtt, std::uint64_t buffer_max, const Settings& settings,
                 const os::TlsFiles (&tls)[2]) {
  bench::TunPath path(rtt / 2, buffer_max);
  std::unique_ptr<Region> regions[2];
  for (const int number : {0, 1})
    os::Thread("region", [&](std::stop_token) {
      path.join(number);
      regions[number] = std::make_unique<Region>(number, tls[number]);
    }).join();
  (void)must(regions[0]->link().wait_connected(regions[0]->after(30s)).ok()
                 ? Result<bool>(true)
                 : Result<bool>(transient(ErrorKind::unavailable, "the regions do not connect")));
  auto channel = must(regions[0]->link().open("goodput", link::Class::stream));
  os::Thread sender("sender", [&](const std::stop_token& stop) {
    send_until_stopped(*regions[0], *channel, stop);
  });
  auto incoming = regions[1]->incoming();
  const MonotonicTime begin = os::real_monotonic_now() + settings.warm_up;
  const MonotonicTime end = begin + settings.measured;
  std::uint64_t bytes = 0;
  for (MonotonicTime now{}; now < end; now = os::real_monotonic_now()) {
    const Bytes message = must(incoming->receive(regions[1]->after(60s)));
    if (now >= begin) bytes += message.size();
  }
  const link::PeerFacts facts = regions[0]->link().facts();
  incoming->close();
  return {static_cast<double>(bytes) * 8 / seconds_of(settings.measured) / 1e6, facts.connections,
          seconds_of(facts.rtt) * 1e3};
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0)
      settings.quick = true, settings.warm_up = settings.measured = 4s;
    else if (std::strcmp(argv[i], "--json") == 0)
      settings.json = true;
    else
      return std::fprintf(stderr, "usage: link_goodput_bench [--quick] [--json]\n"), 2;
  }
  os::TestFolder folder;
  os::TestCa ca(folder.path(), "ca");
  const os::TlsFiles tls[] = {ca.make(kRegions[0]), ca.make(kRegions[1])};
  double at_zero = 0, counted = 0;
  for (const auto& [rtt, buffer_max] : kPaths) {
    const Measured found = measure(rtt, buffer_max, settings, tls);
    if (at_zero == 0) at_zero = found.megabits, counted = std::min(at_zero, 1000.0);
    const char* line =
        settings.json
            ? R"({{"bench":"link","case":"goodput at {}{}","ours":{:.0f},"peer":{:.0f},)"
              R"("unit":"Mbit/s","ratio":{:.2f},"runs":1,"connections":{},"rtt_ms":{:.1f}}})"
              "\n"
            : "link goodput at {}{}: {:.0f} Mbit/s, at RTT 0 {:.0f}: ratio {:.2f} ({} connections, "
              "measured RTT {:.1f} ms)\n";
    fmt::print(fmt::runtime(line), format_duration(rtt),
               buffer_max > 0 ? ", kernel buffers as check says" : "", found.megabits, at_zero,
               found.megabits / counted, found.connections, found.rtt_ms);
    std::fflush(stdout);
  }
  return 0;
}
