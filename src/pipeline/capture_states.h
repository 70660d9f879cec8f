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

Bytes encode_capture_states(const std::vector<CaptureState>& states);
Result<std::vector<CaptureState>> decode_capture_states(ByteView bytes);

// What one peer region has said of its capture legs. Any thread.
class CaptureStatesHeard {
 public:
  static constexpr Duration kFresh = 20s;  // a peer of 1000 streams names each every 10 s

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
  mutable os::Mutex mutex_;
  std::map<std::string, Heard> by_name_;
};

}  // namespace farshore::pipeline
