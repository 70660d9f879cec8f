// FakeNetwork: an in-memory Network for tests of the link: many worlds on one wire that delays,
// limits the rate, cuts, swallows and refuses on command. Real time, so the waits of a test are
// real. It passes network_contract (network_contract_test.cpp). What that says nothing of it does
// not have: an address is any text and no port is chosen for it, and there are no figures of the
// transport.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "os/mutex.h"
#include "os/real/real_world.h"
#include "os/world.h"

namespace farshore::link {

class FakeWire {
 public:
  struct Faults {
    bool swallow = false;       // what is written never arrives, and nobody says so
    bool silent_close = false;  // as when a host vanishes: its peers are not told
    bool refuse = false;        // connections are refused
    bool silent = false;        // who connects gets no answer
    Duration delay{};           // one way
    std::uint64_t bytes_per_second =
        0;  // of all connections together and each direction; 0: no limit
  };

  void set(Faults faults) {
    os::Lock lock(mutex_);
    faults_ = faults;
    changed_.notify_all();
  }
  void cut_all() {
    os::Lock lock(mutex_);
    for (auto& pipe : pipes_)
      if (auto alive = pipe.lock()) alive->cut = true;
    pipes_.clear();
    changed_.notify_all();
  }
  // A region that may not be dialled, as behind a firewall.
  void forbid(const std::string& address) {
    os::Lock lock(mutex_);
    forbidden_.push_back(address);
  }

 private:
  friend class FakeConnection;
  friend class FakeListener;
  friend class FakeNetwork;

  static constexpr std::size_t kPipeMax = 256_KiB;

  struct Chunk {
    Bytes bytes;
    MonotonicTime arrives_at{};
  };
  struct Pipe {
    std::deque<Chunk> chunks;
    std::size_t size = 0;
    bool cut = false;
    bool closed = false;  // by the writer
  };
  struct Pending {
    std::shared_ptr<Pipe> to_server, to_client;
    std::string name;
  };
  struct Listening {
    std::string name;
    std::deque<Pending> pending;
    bool closed = false;
  };

  os::Mutex mutex_;
  os::CondVar changed_;
  Faults faults_;
  std::map<std::string, std::shared_ptr<Listening>> listeners_;
  std::vector<std::weak_ptr<Pipe>> pipes_;
  std::vector<std::string> forbidden_;
  MonotonicTime free_at_[2] = {MonotonicTime::min(), MonotonicTime::min()};
};

class FakeConnection : public os::Connection {
 public:
  FakeConnection(std::shared_ptr<FakeWire> wire, std::shared_ptr<FakeWire::Pipe> in,
                 std::shared_ptr<FakeWire::Pipe> out, int direction, std::string peer_name)
      : wire_(std::move(wire)),
        in_(std::move(in)),
        out_(std::move(out)),
        direction_(direction),
        name_(std::move(peer_name)) {}
  ~FakeConnection() override { FakeConnection::close(); }

  Result<std::size_t> read(char* into, std::size_t count, Deadline deadline) override {
    os::Lock lock(wire_->mutex_);
    while (true) {
      const MonotonicTime now = os::real_monotonic_now();
      if (closed_) return permanent(ErrorKind::closed, "the connection was closed here");
      Deadline wake = deadline;
      if (!in_->chunks.empty()) {
        FakeWire::Chunk& chunk = in_->chunks.front();
        if (chunk.arrives_at <= now) {
          const std::size_t size = std::min(count, chunk.bytes.size());
          chunk.bytes.copy(into, size);
          chunk.bytes.erase(0, size);
          in_->size -= size;
          if (chunk.bytes.empty()) in_->chunks.pop_front();
          wire_->changed_.notify_all();
          return size;
        }
        wake = earlier(wake, Deadline::at(chunk.arrives_at));
      } else if (in_->cut || in_->closed) {
        return transient(ErrorKind::unavailable, "the peer hung up");
      }
      if (deadline.reached(now)) return transient(ErrorKind::timeout, "nothing came");
      wire_->changed_.wait(lock, wake);
    }
  }

  Result<void> write(ByteView bytes, Deadline deadline) override {
    os::Lock lock(wire_->mutex_);
    while (true) {
      const MonotonicTime now = os::real_monotonic_now();
      if (closed_) return permanent(ErrorKind::closed, "the connection was closed here");
      if (out_->cut || in_->closed) return transient(ErrorKind::unavailable, "the peer hung up");
      if (wire_->faults_.swallow) return {};
      MonotonicTime& free_at = wire_->free_at_[direction_];
      Deadline wake = deadline;
      if (out_->size + bytes.size() <= FakeWire::kPipeMax || out_->size == 0) {
        if (wire_->faults_.bytes_per_second == 0 || free_at <= now) break;
        wake = earlier(wake, Deadline::at(free_at));
      }
      if (deadline.reached(now)) return transient(ErrorKind::timeout, "the peer takes nothing");
      wire_->changed_.wait(lock, wake);
    }
    MonotonicTime arrives = os::real_monotonic_now();
    if (const auto rate = wire_->faults_.bytes_per_second; rate != 0) {
      const auto takes = Duration(bytes.size() * 1'000'000'000 / rate);
      arrives = wire_->free_at_[direction_] =
          std::max(arrives, wire_->free_at_[direction_]) + takes;
    }
    out_->chunks.push_back({Bytes(bytes), arrives + wire_->faults_.delay});
    out_->size += bytes.size();
    wire_->changed_.notify_all();
    return {};
  }

  void close() override {
    os::Lock lock(wire_->mutex_);
    closed_ = true;
    if (!wire_->faults_.silent_close) out_->closed = true;
    wire_->changed_.notify_all();
  }
  os::TransportStats stats() override { return {}; }
  std::string peer_name() const override { return name_; }
  std::string peer_address() const override { return "fake:" + std::to_string(direction_); }

 private:
  const std::shared_ptr<FakeWire> wire_;
  const std::shared_ptr<FakeWire::Pipe> in_, out_;
  const int direction_;
  const std::string name_;
  bool closed_ = false;
};

class FakeListener : public os::Listener {
 public:
  FakeListener(std::shared_ptr<FakeWire> wire, std::string address,
               std::shared_ptr<FakeWire::Listening> listening)
      : wire_(std::move(wire)), address_(std::move(address)), listening_(std::move(listening)) {}
  ~FakeListener() override { FakeListener::close(); }
  Result<std::unique_ptr<os::Connection>> accept(Deadline deadline) override {
    os::Lock lock(wire_->mutex_);
    const bool there = wire_->changed_.wait(
        lock, deadline, [&] { return listening_->closed || !listening_->pending.empty(); });
    if (listening_->closed) return permanent(ErrorKind::closed, "the listener was closed");
    if (!there) return transient(ErrorKind::timeout, "nobody came");
    FakeWire::Pending pending = std::move(listening_->pending.front());
    listening_->pending.pop_front();
    return std::unique_ptr<os::Connection>(std::make_unique<FakeConnection>(
        wire_, pending.to_server, pending.to_client, 1, pending.name));
  }
  std::string address() const override { return address_; }
  void close() override {
    os::Lock lock(wire_->mutex_);
    listening_->closed = true;
    const auto at = wire_->listeners_.find(address_);
    if (at != wire_->listeners_.end() && at->second == listening_) wire_->listeners_.erase(at);
    wire_->changed_.notify_all();
  }

 private:
  const std::shared_ptr<FakeWire> wire_;
  const std::string address_;
  const std::shared_ptr<FakeWire::Listening> listening_;
};

class FakeNetwork : public os::Network {
 public:
  // `name`: what certificates would say; empty as on plain TCP.
  FakeNetwork(std::shared_ptr<FakeWire> wire, std::string name)
      : wire_(std::move(wire)), name_(std::move(name)) {}

  Result<std::unique_ptr<os::Listener>> listen(const std::string& address) override {
    const auto listening = std::make_shared<FakeWire::Listening>();
    listening->name = name_;
    os::Lock lock(wire_->mutex_);
    if (!wire_->listeners_.try_emplace(address, listening).second)
      return permanent(ErrorKind::unavailable, "'{}' is taken", address);
    return std::unique_ptr<os::Listener>(std::make_unique<FakeListener>(wire_, address, listening));
  }
  Result<std::unique_ptr<os::Connection>> connect(const std::string& address, Deadline deadline,
                                                  std::stop_token stop) override {
    const std::stop_callback wake(stop, [this] {
      os::Lock inner(wire_->mutex_);
      wire_->changed_.notify_all();
    });
    os::Lock lock(wire_->mutex_);
    if (wire_->faults_.silent) {
      wire_->changed_.wait(lock, deadline, [&] { return stop.stop_requested(); });
      return transient(ErrorKind::timeout, "'{}' does not answer", address);
    }
    const auto at = wire_->listeners_.find(address);
    const bool forbidden = std::find(wire_->forbidden_.begin(), wire_->forbidden_.end(), address) !=
                           wire_->forbidden_.end();
    if (wire_->faults_.refuse || forbidden || at == wire_->listeners_.end())
      return transient(ErrorKind::unavailable, "'{}' refuses connections", address);
    auto to_server = std::make_shared<FakeWire::Pipe>(),
         to_client = std::make_shared<FakeWire::Pipe>();
    wire_->pipes_.push_back(to_server);
    wire_->pipes_.push_back(to_client);
    at->second->pending.push_back({to_server, to_client, name_});
    wire_->changed_.notify_all();
    return std::unique_ptr<os::Connection>(
        std::make_unique<FakeConnection>(wire_, to_client, to_server, 0, at->second->name));
  }

 private:
  const std::shared_ptr<FakeWire> wire_;
  const std::string name_;
};

// A real world whose network is the wire and whose wall clock is off by `clock_shift`.
class FakeWorld : public os::World {
 public:
  explicit FakeWorld(std::shared_ptr<FakeWire> wire, Duration clock_shift = {},
                     std::string name = "")
      : clock_(*real_, clock_shift), network_(std::move(wire), std::move(name)) {}
  os::Clock& clock() override { return clock_; }
  os::Random& random() override { return real_->random(); }
  os::Files& files() override { return real_->files(); }
  os::Network& network() override { return network_; }

 private:
  class ShiftedClock : public os::Clock {
   public:
    ShiftedClock(os::World& real, Duration shift) : real_(real), shift_(shift) {}
    MonotonicTime monotonic() override { return real_.clock().monotonic(); }
    WallTime wall() override { return real_.clock().wall() + shift_; }

   private:
    os::World& real_;
    const Duration shift_;
  };

  std::unique_ptr<os::World> real_ = os::make_real_world(std::nullopt);
  ShiftedClock clock_;
  FakeNetwork network_;
};

}  // namespace farshore::link
