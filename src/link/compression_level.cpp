#include "link/compression_level.h"

#include <algorithm>
#include <array>

namespace farshore::link {
namespace {

constexpr std::array<int, 7> kLadder{0, 1, 3, 6, 9, 12, kLevelMax};
constexpr double kBacklogged = 0.8;     // less: the source is the limit, and nothing is scarce
constexpr double kWanScarce = 0.5;      // share of the time in write
constexpr double kCpuSpare = 0.4;       // a step up about doubles the work; it must stay below 80 %
constexpr double kCpuScarce = 0.7;      // share of the time compressing
constexpr double kCpuBusy = 0.55;       // worth a try whether less of it is faster
constexpr double kNeverBlocked = 0.25;  // TLS and the copy to the kernel take this much anyway
constexpr double kNoSlower = 0.97;      // of the rate before: a step up must not cost more
constexpr double kFaster = 1.03;        // a step down spends bytes: it must give speed
constexpr int kTrialSeconds = 3;
constexpr int kHoldMinSeconds = 30, kHoldMaxSeconds = 960;

int step(int level, int by) {
  const auto at = std::find(kLadder.begin(), kLadder.end(), level) - kLadder.begin();
  return kLadder.at(
      static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(at + by, 0, kLadder.size() - 1)));
}

std::string megabits(double bytes_per_second) {
  return fmt::format("{:.3g} Mbit/s", bytes_per_second * 8 / 1e6);
}

void move_level(LevelState& state, int by, std::string why) {
  state.level = step(state.level, by);
  state.why = std::move(why);
  state.trial = 0;
}

void hold(LevelState& state) {
  state.next_hold_seconds =
      std::clamp(2 * state.next_hold_seconds, kHoldMinSeconds, kHoldMaxSeconds);
  state.hold_seconds = state.next_hold_seconds;
}

void try_level(LevelState& state, int by, const SendSample& sample) {
  if (state.hold_seconds > 0 || state.trial != 0 || step(state.level, by) == state.level) return;
  state.level = step(state.level, by);
  state.trial = by;
  state.trial_seconds = 0;
  state.before_trial_bytes_per_second = sample.plain_bytes_per_second;
}

// False: the trial was taken back.
bool judge_trial(LevelState& state, const SendSample& sample) {
  if (state.trial == 0 || ++state.trial_seconds < kTrialSeconds) return true;
  const double needed =
      state.before_trial_bytes_per_second * (state.trial > 0 ? kNoSlower : kFaster);
  if (sample.plain_bytes_per_second >= needed) {
    state.trial = 0;
    return true;
  }
  const bool up = state.trial > 0;
  move_level(state, -state.trial,
             up ? fmt::format("CPU is scarce: level {} was slower", state.level)
                : fmt::format("WAN is scarce: level {} was no faster", state.level));
  hold(state);
  return false;
}

}  // namespace

LevelState decide_level(LevelState state, const SendSample& sample) {
  state.hold_seconds = std::max(state.hold_seconds - 1, 0);
  if (sample.queued < kBacklogged) {
    state.trial = 0;  // cannot be judged any more
    state.why = "neither WAN nor CPU is scarce";
    return state;
  }
  const std::string busy = fmt::format("{:.0f} % busy", sample.compressing * 100);
  if (sample.compressing > kCpuScarce && sample.writing < kNeverBlocked && state.level > 0) {
    if (state.trial > 0) hold(state);
    move_level(state, -1, "CPU is scarce: " + busy);
    return state;
  }
  if (!judge_trial(state, sample)) return state;
  if (sample.writing > kWanScarce) {
    state.why = "WAN is scarce: " + megabits(sample.wire_bytes_per_second);
    if (sample.compressing < kCpuSpare) try_level(state, +1, sample);
  } else if (sample.compressing > kCpuBusy) {
    state.why = "CPU is scarce: " + busy;
    try_level(state, -1, sample);
  } else {
    state.why = fmt::format("WAN and CPU are balanced: {}, {}",
                            megabits(sample.wire_bytes_per_second), busy);
  }
  return state;
}

}  // namespace farshore::link
