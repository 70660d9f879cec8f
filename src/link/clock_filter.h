// ClockFilter: round trip and clock offset from keepalives, as NTP does it (RFC 5905 section 8): of
// the last 8 exchanges the one with the shortest round trip is believed, and half of that is the
// error bound of its offset. Pure.
#pragma once

#include <array>

#include "base/units.h"

namespace farshore::link {

// One keepalive and its answer. Wall clocks give the offset, monotonic ones the round trip.
struct ClockExchange {
  WallTime sent_at{}, returned_at{};      // ours
  Duration waited{};                      // between the two, by our monotonic clock
  WallTime received_at{}, answered_at{};  // the peer's
  Duration held{};                        // between the two, by the peer's monotonic clock
};

class ClockFilter {
 public:
  // An exchange during which either wall clock was stepped gives a round trip but no offset.
  void add(const ClockExchange& exchange);

  Duration rtt() const { return smoothed_; }  // zero: unknown
  Duration rtt_min() const;       // of those 8: the way itself, without queues; zero: unknown
  Duration offset() const;        // peer's wall clock minus ours
  Duration offset_bound() const;  // zero: never measured

 private:
  struct Sample {
    Duration rtt{}, offset{};
  };
  static constexpr std::size_t kSamples = 8;

  const Sample* best() const;

  std::array<Sample, kSamples> samples_{};
  std::size_t count_ = 0;
  Duration smoothed_{};
};

}  // namespace farshore::link
