#include "journal/retention.h"

#include <algorithm>
#include <optional>

namespace farshore::journal {
namespace {

struct Pressure {
  std::uint64_t need = 0;  // bytes that must go
  std::string limit;       // which limit asks for it; empty: none
};

Pressure pressure_of(const RetentionFacts& facts, const Options& options) {
  std::uint64_t total = facts.wanted_bytes;
  for (const SegmentFacts& segment : facts.segments) total += segment.bytes;
  Pressure pressure;
  if (total > options.bytes_max) {
    pressure.need = total - options.bytes_max;
    pressure.limit = fmt::format("journal.max ({}) is reached", format_bytes(options.bytes_max));
  }
  const std::uint64_t free = facts.disk_is_full ? 0 : facts.free_bytes;
  if (free < options.free_bytes_min && options.free_bytes_min - free > pressure.need) {
    pressure.need = options.free_bytes_min - free;
    pressure.limit = fmt::format("the file system has {} free, fewer than journal.free_min ({})",
                                 format_bytes(free), format_bytes(options.free_bytes_min));
  }
  if (facts.disk_is_full && pressure.limit.empty()) {
    pressure.need = 1;
    pressure.limit = "the file system is full";
  }
  return pressure;
}

const ConsumerFacts* slowest(const std::vector<ConsumerFacts>& consumers) {
  const auto found =
      std::min_element(consumers.begin(), consumers.end(),
                       [](const auto& a, const auto& b) { return a.keep_from < b.keep_from; });
  return found == consumers.end() ? nullptr : &*found;
}

bool needs(const ConsumerFacts* consumer, const SegmentFacts& segment) {
  return consumer != nullptr && consumer->keep_from <= segment.last;
}

// Overtakes all that need the segment, unless one of them is required.
bool overtake(std::vector<ConsumerFacts>& consumers, const SegmentFacts& segment,
              std::vector<std::string>& overtaken) {
  for (const ConsumerFacts& consumer : consumers)
    if (consumer.required && needs(&consumer, segment)) return false;
  while (needs(slowest(consumers), segment)) {
    const std::string name = slowest(consumers)->name;
    overtaken.push_back(name);
    std::erase_if(consumers, [&](const ConsumerFacts& c) { return c.name == name; });
  }
  return true;
}

}  // namespace

RetentionDecision decide_retention(const RetentionFacts& facts, const Options& options) {
  RetentionDecision decision;
  std::vector<ConsumerFacts> consumers(facts.consumers.begin(), facts.consumers.end());
  const Pressure pressure = pressure_of(facts, options);
  std::uint64_t freed = 0;
  bool waits_for_sync = false;  // the next one may go as soon as it is written
  const std::size_t removable = facts.segments.empty() ? 0 : facts.segments.size() - 1;
  for (; decision.remove < removable; ++decision.remove) {
    const SegmentFacts& segment = facts.segments[decision.remove];
    if (!segment.settled) {
      waits_for_sync = !facts.disk_is_full;
      break;
    }
    const bool young = segment.newest + options.keep > facts.now;
    const bool pressed = freed < pressure.need;
    const bool last_preamble =
        facts.newest_preamble.value() != 0 && segment.last >= facts.newest_preamble;
    if (!pressed && (young || last_preamble || needs(slowest(consumers), segment))) break;
    if (needs(slowest(consumers), segment)) {
      if (options.when_full == WhenFull::hold) break;
      if (!overtake(consumers, segment, decision.overtaken)) break;
    } else if (young) {
      decision.keep_shortened = true;
    }
    freed += segment.bytes;
  }
  if (freed < pressure.need && !waits_for_sync) {
    const ConsumerFacts* holder = slowest(consumers);
    decision.full = pressure.limit;
    if (holder != nullptr && decision.remove < removable)
      decision.full += fmt::format(", and consumer '{}' still needs what begins at sequence {}{}",
                                   holder->name, holder->keep_from, holder->since);
  }
  return decision;
}

}  // namespace farshore::journal
