// HeartbeatLoop: commits a heartbeat in one source database at a fixed interval; one for all
// streams of that database.
#pragma once

#include <stop_token>

#include "pipeline/state.h"
#include "pipeline/stopper.h"
#include "source/source.h"

namespace farshore::pipeline {

class HeartbeatLoop {
 public:
  HeartbeatLoop(os::World& world, HeartbeatWriter& writer, Duration interval, EventSink events,
                std::string site)
      : world_(world),
        writer_(writer),
        interval_(interval),
        events_(std::move(events)),
        site_(std::move(site)),
        stopper_(world) {}

  void run(std::stop_token stop) {
    std::stop_callback interrupt(stop, [this] { writer_.interrupt(); });
    bool failing = false;
    while (stopper_.wait(stop, interval_)) {
      auto beaten = writer_.beat(world_.after(5s));
      if (stop.stop_requested()) return;
      if (!beaten.ok() && !failing && events_)
        events_({.severity = Severity::warning,
                 .name = "heartbeat.failed",
                 .message = site_ + ": " + beaten.error().what});
      failing = !beaten.ok();
    }
  }

 private:
  os::World& world_;
  HeartbeatWriter& writer_;
  const Duration interval_;
  const EventSink events_;
  const std::string site_;
  Stopper stopper_;
};

}  // namespace farshore::pipeline
