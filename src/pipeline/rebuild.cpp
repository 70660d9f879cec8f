#include "pipeline/rebuild.h"

#include <algorithm>

#include "journal/epoch_history.h"
#include "pipeline/fetch.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kRebuildAnswerWait = 15s;
constexpr Duration kWriteWait = 60s;

bool holds_records(const Held& held) {
  return !held.welcome.stream.is_nil() && held.welcome.durable.sequence > Sequence(0);
}

const Held& furthest_behind(const std::vector<Held>& held, const Held& ahead) {
  const Held* behind = &ahead;
  for (const Held& other : held)
    if (holds_records(other) && other.welcome.durable < behind->welcome.durable) behind = &other;
  return *behind;
}

Result<void> start_behind(journal::Journal& journal, const Welcome& end, const Welcome& ahead) {
  const Sequence next = end.durable.sequence.next();
  return journal.start_at({journal::epoch_at(ahead.history, next), next}, end.hash, ahead.history,
                          {end.position, end.commit_time, end.session});
}

// Acknowledgements come on the same channel.
Result<std::vector<PlacedRecord>> fetch(link::Channel& channel, Fetch wanted, Deadline deadline) {
  FARSHORE_TRY(channel.send(encode(wanted), deadline));
  for (;;) {
    FARSHORE_TRY_ASSIGN(const Bytes bytes, channel.receive(deadline));
    FARSHORE_TRY_ASSIGN(Message message, decode(bytes));
    if (auto* fetched = std::get_if<Fetched>(&message)) return std::move(fetched->records);
    if (auto* refuse = std::get_if<Refuse>(&message))
      return Error{refuse->kind, refuse->retry, refuse->what};
  }
}

// False: it no longer holds a part of them.
Result<bool> fill(os::World& world, journal::Journal& journal, const std::string& stream_name,
                  const Held& ahead) {
  const Sequence last = ahead.welcome.durable.sequence;
  FARSHORE_TRY_ASSIGN(auto channel, ahead.dial(fmt::format("ship/{}/{}", stream_name, ahead.site),
                                               link::Class::stream));
  FARSHORE_TRY(ask(*channel,
                   Hello{.stream = ahead.welcome.stream,
                         .name = stream_name,
                         .epoch = ahead.welcome.history.back().epoch},
                   world.after(kRebuildAnswerWait)));
  Sequence next = journal.status().written.sequence.next();
  while (next <= last) {
    FARSHORE_TRY_ASSIGN(const auto records,
                        fetch(*channel, {next, std::min(last, next.plus(kFetchRecordsMax))},
                              world.after(kRebuildAnswerWait)));
    if (records.empty()) return false;
    FARSHORE_TRY(journal.append_shipped(records, world.after(kWriteWait)));
    next = records.back().place.sequence.next();
  }
  FARSHORE_TRY(journal.wait_durable(last, world.after(kWriteWait)));
  return true;
}

}  // namespace

const Held* furthest_ahead(const std::vector<Held>& held) {
  const Held* ahead = nullptr;
  for (const Held& other : held) {
    if (other.welcome.stream.is_nil()) continue;
    if (ahead == nullptr || other.welcome.durable > ahead->welcome.durable) ahead = &other;
  }
  return ahead;
}

Result<void> rebuild(os::World& world, journal::Journal& journal, const std::string& stream_name,
                     const std::vector<Held>& held) {
  const Held& ahead = *furthest_ahead(held);
  const Held& behind = furthest_behind(held, ahead);
  if (&behind == &ahead) return start_behind(journal, ahead.welcome, ahead.welcome);
  FARSHORE_TRY(start_behind(journal, behind.welcome, ahead.welcome));
  auto filled = fill(world, journal, stream_name, ahead);
  // A record that does not continue: the target that is behind holds another history.
  if (!filled.ok() && filled.error().kind != ErrorKind::conflict) return filled.error();
  if (filled.ok() && *filled) return {};
  FARSHORE_TRY(journal.clear());
  return start_behind(journal, ahead.welcome, ahead.welcome);
}

bool lacks_its_end(const journal::Journal& journal) {
  const auto consumers = journal.consumers();
  const Sequence end = journal.status().written.sequence;
  return std::any_of(consumers.begin(), consumers.end(),
                     [&](const auto& consumer) { return consumer.second.applied > end; });
}

Result<void> restore_end(os::World& world, journal::Journal& journal,
                         const std::string& stream_name, const std::vector<Held>& held) {
  const Held* ahead = furthest_ahead(held);
  const Place end = journal.status().written;
  if (ahead == nullptr || ahead->welcome.durable.sequence <= end.sequence) return {};
  FARSHORE_TRY_ASSIGN(const bool filled, fill(world, journal, stream_name, *ahead));
  if (filled) return {};
  return permanent(ErrorKind::conflict,
                   "the near journal lost what came after {}, and {} no longer holds all of it: "
                   "move its folder away, and it is continued from the far one",
                   end, ahead->site);
}

}  // namespace farshore::pipeline
