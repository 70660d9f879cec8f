#include "wan/pipe.h"

#include <algorithm>
#include <charconv>

namespace farshore::wan {

MonotonicTime Pipe::enter(MonotonicTime now, std::uint64_t bytes) {
  MonotonicTime through = now;
  if (rate_) {
    const double seconds = static_cast<double>(bytes) * 8 / static_cast<double>(*rate_);
    bottleneck_free_ = std::max(now, bottleneck_free_) +
                       std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    through = bottleneck_free_;
  }
  last_out_ = std::max(last_out_, through + delay_);
  total_ += bytes;
  if (last_out_ > now && bytes > 0) {
    transits_.push_back({last_out_, bytes});
    on_the_way_ += bytes;
  }
  return last_out_;
}

std::uint64_t Pipe::room(MonotonicTime now) {
  while (!transits_.empty() && transits_.front().out <= now) {
    on_the_way_ -= transits_.front().bytes;
    transits_.pop_front();
  }
  const std::uint64_t most = capacity();
  return on_the_way_ < most ? most - on_the_way_ : 0;
}

MonotonicTime Pipe::next_out() const {
  return transits_.empty() ? MonotonicTime::max() : transits_.front().out;
}

std::uint64_t Pipe::capacity() const {
  if (!rate_) return kUnlimitedCapacity;
  const double bytes = static_cast<double>(*rate_) / 8 * seconds_of(delay_ + kBottleneckQueue);
  return std::clamp(static_cast<std::uint64_t>(bytes), kCapacityMin, kUnlimitedCapacity);
}

Result<std::optional<std::uint64_t>> parse_rate(std::string_view text) {
  if (text == "off") return std::optional<std::uint64_t>();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double factor = unit == "kbit" ? 1e3 : unit == "Mbit" ? 1e6 : unit == "Gbit" ? 1e9 : 0;
  const double bits = number * factor;
  if (error != std::errc() || !(bits >= 1e3 && bits <= 1e12))
    return permanent(ErrorKind::invalid, "rate '{}': write 64kbit, 100Mbit, 1Gbit or off", text);
  return std::optional<std::uint64_t>(static_cast<std::uint64_t>(bits));
}

}  // namespace farshore::wan
