// CompressionLevel: which zstd level a session sends with, decided each second by what is scarce.
// Pure.
//
// The WAN is scarce when there is always something to send and writing waits most of the time: the
// level rises. The CPU is scarce when compressing takes most of the time: the level falls, down to
// none. A step is a trial: one up that made the stream slower, or one down that made it no faster,
// is taken back, and the next trial waits twice as long.
#pragma once

#include <cstdint>
#include <string>

#include "base/units.h"

namespace farshore::link {

constexpr int kLevelMax = 15;

// One second of a session's sending, over all its connections.
struct SendSample {
  double queued = 0;       // share of the time in which there was something to send
  double compressing = 0;  // share of the senders' time, 0..1
  double writing =
      0;  // share of the senders' time that write() took: the peer or the WAN did not take more
  double plain_bytes_per_second = 0;
  double wire_bytes_per_second = 0;
};

struct LevelState {
  int level = 1;  // 3 makes row changes hardly smaller, for twice the work
  std::string why = "start";
  int hold_seconds = 0;       // before the next trial
  int next_hold_seconds = 0;  // grows each time a trial was a mistake
  int trial = 0;              // +1, -1: the last step is still being judged
  int trial_seconds = 0;
  double before_trial_bytes_per_second = 0;
};

LevelState decide_level(LevelState state, const SendSample& sample);

}  // namespace farshore::link
