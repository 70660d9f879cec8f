// Pipe: one direction of the WAN, which all connections share: bytes that enter arrive after their
// turn at the bottleneck (rate) and the way (delay). Pure: time is a parameter and never goes back.
#pragma once

#include <deque>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"

namespace farshore::wan {

// Bytes on their way when the rate is not limited: 6.4 Gbit/s at 80 ms one way.
constexpr std::uint64_t kUnlimitedCapacity = 64_MiB;
// The bottleneck's own queue, beyond bandwidth x delay.
constexpr Duration kBottleneckQueue = 20ms;
constexpr std::uint64_t kCapacityMin = 128_KiB;

class Pipe {
 public:
  void set_delay(Duration one_way) { delay_ = one_way; }
  void set_rate(std::optional<std::uint64_t> bits_per_second) { rate_ = bits_per_second; }

  // When `bytes` that enter now come out. Never before what entered earlier.
  MonotonicTime enter(MonotonicTime now, std::uint64_t bytes);
  // How many bytes may enter now.
  std::uint64_t room(MonotonicTime now);
  // When the oldest bytes on their way come out; max() when there are none.
  MonotonicTime next_out() const;

  std::uint64_t capacity() const;
  std::uint64_t total() const { return total_; }

 private:
  struct Transit {
    MonotonicTime out;
    std::uint64_t bytes;
  };

  Duration delay_{};
  std::optional<std::uint64_t> rate_;  // bits per second
  MonotonicTime bottleneck_free_{};
  MonotonicTime last_out_{};
  std::deque<Transit> transits_;
  std::uint64_t on_the_way_ = 0, total_ = 0;
};

// "100Mbit", "1Gbit", "64kbit", "off" (empty: not limited). invalid.
Result<std::optional<std::uint64_t>> parse_rate(std::string_view text);

}  // namespace farshore::wan
