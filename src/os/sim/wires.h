// Wires: the network between simulated hosts. Bytes of a connection arrive in order, after latency
// and jitter, cut at random borders; what was written and not yet read is bounded. All faults of
// the network happen here.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "os/network.h"
#include "os/sim/core.h"
#include "os/sim/fault.h"
#include "os/sim/options.h"

namespace farshore::os::sim {

// One direction between two hosts.
struct Wire {
  WireOptions options;
  bool cut = false;        // nothing passes and both sides learn of it
  bool swallowed = false;  // nothing passes and nobody is told
  Duration spike_extra{}, spike_until{};
  Duration free_at{};  // when the last byte under the bandwidth limit has left
};

// One end of a connection.
struct End {
  const Life* life = nullptr;
  Bytes received;               // arrived, not yet read
  std::size_t read_from = 0;    // in `received`
  std::uint64_t in_flight = 0;  // written by the peer, not yet read here
  Duration last_arrival{};
  bool closed = false;  // by its own side
  bool hears = true;    // false: nothing reaches it any more
  bool peer_ended = false;
  std::string broken;               // why; empty: it is not
  char readable = 0, writable = 0;  // objects to wait on
};

struct Line {
  std::uint64_t number = 0;
  End ends[2];  // 0: who connected
};
using LinePointer = std::shared_ptr<Line>;

struct ListeningPort {
  const Life* life = nullptr;
  std::string address;
  std::deque<LinePointer> waiting;  // connected, not yet accepted
  bool closed = false;
};

class Wires {
 public:
  Wires(Core& core, const Options& options, FaultCounts& counts);

  Wire& wire(const std::string& from, const std::string& to);

  // --- for the Network port; all block or switch
  Result<std::shared_ptr<ListeningPort>> listen(const Life& life, const std::string& address);
  Result<LinePointer> connect(const Life& life, const std::string& address, Deadline deadline,
                              const std::stop_token& stop);
  Result<LinePointer> accept(ListeningPort& port, Deadline deadline);
  void close(ListeningPort& port);
  Result<std::size_t> read(Line& line, int side, char* into, std::size_t count, Deadline deadline);
  Result<void> write(const LinePointer& line, int side, ByteView bytes, Deadline deadline);
  void close(const LinePointer& line, int side);
  TransportStats stats(const Line& line, int side);

  // --- faults between two hosts, both ways
  void host_started(const std::string& name);
  void cut(const std::string& a, const std::string& b);
  void heal(const std::string& a, const std::string& b);  // of cut and swallow
  void reset(const std::string& a, const std::string& b);
  void half_open(const std::string& deaf, const std::string& other);
  void swallow(const std::string& a, const std::string& b);
  void spike(const std::string& a, const std::string& b, Duration extra, Duration how_long);
  void refuse(const std::string& host, bool refused);
  // The host's connections break: its peers see a reset, or nothing at all when `silently`.
  void host_died(const Life& life, bool silently);

 private:
  struct HostState {
    bool refuses = false;
    bool silent = false;  // dead without anybody to answer
  };

  std::vector<LinePointer> lines_between(const std::string& a, const std::string& b);
  void break_end(const LinePointer& line, int side, const std::string& why, Duration when);
  void chance_faults(const LinePointer& line, int side, Wire& out);
  void send(const LinePointer& line, int side, ByteView bytes, Wire& out);
  void deliver(Line& line, int side, const Bytes& bytes);
  Result<void> wait_for_answer(const Life& life, const std::string& host,
                               const std::string& address, Deadline deadline,
                               const std::stop_token& stop);
  std::shared_ptr<ListeningPort> port_at(const std::string& host, const std::string& port);
  void drop_ended_lines();

  Core& core_;
  const WireOptions defaults_;
  FaultCounts& counts_;
  RandomStream random_;
  std::map<std::string, HostState> hosts_;
  std::map<std::pair<std::string, std::string>, Wire> wires_;
  std::vector<std::shared_ptr<ListeningPort>> ports_;
  std::vector<std::weak_ptr<Line>> lines_;  // in the order of connecting
  std::uint64_t next_line_ = 1;
  std::uint64_t next_port_ = 20000;
};

}  // namespace farshore::os::sim
