#include "link/clock_filter.h"

#include <algorithm>

namespace farshore::link {
namespace {

constexpr Duration kRttMin = 1us;  // zero means unknown
constexpr Duration kStep =
    1ms;  // more difference between two clocks over one exchange is a step, not drift

bool stepped(Duration wall, Duration monotonic) {
  return std::chrono::abs(wall - monotonic) > kStep;
}

}  // namespace

void ClockFilter::add(const ClockExchange& exchange) {
  if (exchange.held < Duration::zero() || exchange.held > exchange.waited) return;  // cannot be
  const Duration rtt = std::max(exchange.waited - exchange.held, kRttMin);
  smoothed_ = smoothed_ == Duration::zero() ? rtt : smoothed_ + (rtt - smoothed_) / 8;
  if (stepped(exchange.returned_at - exchange.sent_at, exchange.waited) ||
      stepped(exchange.answered_at - exchange.received_at, exchange.held))
    return;
  const Duration offset =
      ((exchange.received_at - exchange.sent_at) + (exchange.answered_at - exchange.returned_at)) /
      2;
  samples_[count_++ % kSamples] = {rtt, offset};
}

const ClockFilter::Sample* ClockFilter::best() const {
  const std::size_t held = std::min(count_, kSamples);
  if (held == 0) return nullptr;
  return std::min_element(samples_.begin(), samples_.begin() + static_cast<std::ptrdiff_t>(held),
                          [](const Sample& a, const Sample& b) { return a.rtt < b.rtt; });
}

Duration ClockFilter::rtt_min() const {
  return best() == nullptr ? smoothed_ : best()->rtt;
}

Duration ClockFilter::offset() const {
  return best() == nullptr ? Duration::zero() : best()->offset;
}

Duration ClockFilter::offset_bound() const {
  return best() == nullptr ? Duration::zero() : best()->rtt / 2;
}

}  // namespace farshore::link
