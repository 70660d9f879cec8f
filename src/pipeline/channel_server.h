// ChannelServer: answers channels that the peer opened, each by a thread of its own, at most
// `threads_max` at once; what comes beyond is closed, and the peer tries again. Ends with its
// owner: channels are closed, threads joined.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "link/link.h"
#include "os/mutex.h"
#include "os/thread.h"

namespace farshore::pipeline {

class ChannelServer {
 public:
  using Serve = std::function<void(link::Channel& channel, std::stop_token stop)>;

  ChannelServer(std::string name, std::size_t threads_max)
      : name_(std::move(name)), threads_max_(threads_max) {}
  ~ChannelServer() { stop(); }

  void accept(std::unique_ptr<link::Channel> channel, Serve serve);
  void stop();  // no channel is accepted any more

 private:
  struct Served {
    std::unique_ptr<link::Channel> channel;
    bool done = false;
    os::Thread thread;
  };
  void reap_locked(std::list<Served>& ended);

  const std::string name_;
  const std::size_t threads_max_;
  os::Mutex mutex_;
  bool stopped_ = false;
  std::list<Served> served_;
};

}  // namespace farshore::pipeline
