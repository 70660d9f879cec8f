#include "link/session_channel.h"

#include <atomic>

namespace farshore::link {
namespace {

class SessionChannel : public Channel {
 public:
  SessionChannel(std::shared_ptr<Mailroom> mailroom, std::uint32_t id)
      : mailroom_(std::move(mailroom)), id_(id) {}
  ~SessionChannel() override { SessionChannel::close(); }

  Result<void> send(ByteView message, Deadline deadline) override {
    if (message.size() > kMessageMax)
      return permanent(ErrorKind::invalid, "message of {} bytes: the limit is {}", message.size(),
                       kMessageMax);
    auto sent = mailroom_->outbox.send(id_, message, deadline);
    if (!sent.ok() && closed_) return permanent(ErrorKind::closed, "the channel was closed here");
    return sent;
  }
  Result<Bytes> receive(Deadline deadline) override {
    return mailroom_->inbox.receive(id_, deadline);
  }
  void set_class(Class klass) override { mailroom_->outbox.set_class(id_, klass); }
  std::uint64_t queued_bytes() const override { return mailroom_->outbox.queued_bytes(id_); }
  void close() override {
    closed_ = true;
    mailroom_->inbox.close(id_);
  }

 private:
  const std::shared_ptr<Mailroom> mailroom_;
  const std::uint32_t id_;
  std::atomic<bool> closed_ = false;
};

}  // namespace

std::unique_ptr<Channel> make_channel(std::shared_ptr<Mailroom> mailroom, std::uint32_t id) {
  return std::make_unique<SessionChannel>(std::move(mailroom), id);
}

}  // namespace farshore::link
