// Capture states: how the capture legs of a region do, and what has failed at its end of the legs
// to their targets, carried by the link's keepalives in turn with the totals, so that the other end
// of a stream shows its worst leg too. Not kept on disk: what is not heard any more is unknown.
// Format: docs/formats/totals.md.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/mutex.h"
#include "os/world.h"
#include "pipeline/state.h"

namespace farshore::pipeline {

struct CaptureState {
  std::string stream;  // or STREAM/SITE: the source's end of the leg to that target
  State state = State::starting;
  std::string reason;  // at most kCaptureReasonMax bytes are told
};
constexpr std::size_t kCaptureReasonMax = 200;
// Of which one keepalive tells, of some 270 bytes each; then the next streams.
constexpr std::size_t kStreamsToldAtOnce = 120;

// For how long what a region with that many streams told of one is taken as true: three of its
// turns, each of every other keepalive, but not less than 20 s.
Duration told_holds_for(std::size_t streams, Duration keepalive_every);

Bytes encode_capture_states(const std::vector<CaptureState>& states);
Result<std::vector<CaptureState>> decode_capture_states(ByteView bytes);

// What one peer region has said of its capture legs. Any thread.
class CaptureStatesHeard {
 public:
  explicit CaptureStatesHeard(Duration holds_for) : holds_for_(holds_for) {}

  void received(ByteView payload, MonotonicTime now);  // passes over any other payload
  std::optional<CaptureState> of(const std::string& stream, MonotonicTime now) const;
  // Only while it has failed: what is told of a stream is all that has.
  std::optional<CaptureState> of_leg(const std::string& stream, const std::string& site,
                                     MonotonicTime now) const {
    return of(stream + "/" + site, now);
  }

 private:
  struct Heard {
    CaptureState state;
    MonotonicTime at;
  };
  const Duration holds_for_;
  mutable os::Mutex mutex_;
  std::map<std::string, Heard> by_name_;
};

}  // namespace farshore::pipeline
