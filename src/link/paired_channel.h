// PairedChannel: the two ends of a channel in memory, for tests. It keeps the contract that a
// session's channels keep (channel_contract.h), but for credit: it takes whatever is sent.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "link/link.h"
#include "os/mutex.h"

namespace farshore::link {

class PairedChannel final : public Channel {
 public:
  static std::pair<std::unique_ptr<Channel>, std::unique_ptr<Channel>> make() {
    auto wire = std::make_shared<Wire>();
    return {std::unique_ptr<Channel>(new PairedChannel(wire, 0)),
            std::unique_ptr<Channel>(new PairedChannel(wire, 1))};
  }
  ~PairedChannel() override { PairedChannel::close(); }

  Result<void> send(ByteView message, Deadline) override {
    if (message.size() > kMessageMax)
      return permanent(ErrorKind::invalid, "message of {} bytes: the limit is {}", message.size(),
                       kMessageMax);
    os::Lock lock(wire_->mutex);
    if (ended_locked()) return gone_locked();
    wire_->messages[1 - side_].emplace_back(message);
    wire_->changed.notify_all();
    return {};
  }
  Result<Bytes> receive(Deadline deadline) override {
    os::Lock lock(wire_->mutex);
    auto& mine = wire_->messages[side_];
    if (!wire_->changed.wait(lock, deadline, [&] { return ended_locked() || !mine.empty(); }))
      return transient(ErrorKind::timeout, "nothing came");
    if (wire_->closed[side_] || mine.empty()) return gone_locked();
    Bytes message = std::move(mine.front());
    mine.pop_front();
    return message;
  }
  void set_class(Class) override {}
  void close() override {
    os::Lock lock(wire_->mutex);
    wire_->closed[side_] = true;
    wire_->changed.notify_all();
  }
  std::uint64_t queued_bytes() const override { return 0; }

 private:
  struct Wire {
    os::Mutex mutex;
    os::CondVar changed;
    std::deque<Bytes> messages[2];  // to be received by each side
    bool closed[2] = {false, false};
  };
  PairedChannel(std::shared_ptr<Wire> wire, int side) : wire_(std::move(wire)), side_(side) {}
  bool ended_locked() const { return wire_->closed[0] || wire_->closed[1]; }
  Error gone_locked() const {
    if (wire_->closed[side_]) return permanent(ErrorKind::closed, "the channel was closed here");
    return transient(ErrorKind::unavailable, "the peer closed the channel");
  }

  const std::shared_ptr<Wire> wire_;
  const int side_;
};

}  // namespace farshore::link
