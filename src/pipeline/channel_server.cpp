#include "pipeline/channel_server.h"

namespace farshore::pipeline {

void ChannelServer::accept(std::unique_ptr<link::Channel> channel, Serve serve) {
  std::list<Served> ended;  // joined outside of the lock
  os::Lock lock(mutex_);
  reap_locked(ended);
  if (stopped_ || served_.size() >= threads_max_) return channel->close();
  Served& served = served_.emplace_back();
  served.channel = std::move(channel);
  served.thread =
      os::Thread(name_, [this, &served, serve = std::move(serve)](std::stop_token stop) {
        std::stop_callback close(stop, [&] { served.channel->close(); });
        serve(*served.channel, stop);
        served.channel->close();
        os::Lock done(mutex_);
        served.done = true;
      });
}

void ChannelServer::reap_locked(std::list<Served>& ended) {
  for (auto it = served_.begin(); it != served_.end();) {
    const auto next = std::next(it);
    if (it->done) ended.splice(ended.end(), served_, it);
    it = next;
  }
}

void ChannelServer::stop() {
  std::list<Served> ended;
  {
    os::Lock lock(mutex_);
    stopped_ = true;
    ended.splice(ended.end(), served_);
  }
  ended.clear();  // asks each thread to stop and waits for it
}

}  // namespace farshore::pipeline
