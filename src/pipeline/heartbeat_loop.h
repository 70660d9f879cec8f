// HeartbeatLoop: commits a heartbeat in one source database at a fixed interval; one for all
// streams of that database. Of heartbeats that fail in a row the first is an event, and each that
// fails of something else than the one before.
#pragma once

#include <stop_token>
#include <string>
#include <utility>

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
    std::string failing_of;  // empty: it does not fail
    while (stopper_.wait(stop, interval_)) {
      auto beaten = writer_.beat(world_.after(5s));
      if (stop.stop_requested()) return;
      std::string why = beaten.ok() ? "" : beaten.error().what;
      if (std::exchange(failing_of, why) == why || why.empty() || !events_) continue;
      events_({.severity = Severity::warning,
               .name = "heartbeat.failed",
               .message = site_ + ": " + why});
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
