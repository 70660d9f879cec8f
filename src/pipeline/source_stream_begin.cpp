// How a stream begins: whose it is, and what its near journal begins with, by what the targets
// hold.
#include <algorithm>

#include "pipeline/source_stream.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kAskWait = 10s;
constexpr Duration kAskEvery = 500ms;
constexpr Duration kPatience = 10s;  // for a region that has not been reached yet

}  // namespace

// A journal that is empty has either never been begun, or was lost with its disk: only the targets
// know. `held`: what they hold, when the journal is empty or lacks its end.
Result<StreamFile> SourceStream::identify(const journal::Journal& journal, std::vector<Held>& held,
                                          std::stop_token stop) {
  const bool journal_is_empty = journal.status().written.sequence == Sequence(0);
  const std::string path = options_.folder + "/stream.file";
  FARSHORE_TRY_ASSIGN(std::optional<StreamFile> file, load_stream_file(world_.files(), path));
  if (!file || journal_is_empty || lacks_its_end(journal)) {
    FARSHORE_TRY_ASSIGN(held, ask_targets(stop));
    const Held* ahead = furthest_ahead(held);
    if (!file) {
      file = StreamFile{.name = options_.name};
      if (ahead != nullptr) {
        file->stream = ahead->welcome.stream;
        if (!ahead->welcome.history.empty()) file->epoch = ahead->welcome.history.back().epoch;
      } else {
        file->stream = Uuid::from_random(world_.random().next(), world_.random().next());
      }
      FARSHORE_TRY(save_stream_file(world_.files(), path, *file));
    }
    if (ahead == nullptr || ahead->welcome.durable.sequence == Sequence(0))
      held.clear();
    else if (journal_is_empty)
      board_.report(
          Severity::warning, "stream.near_journal_lost",
          fmt::format("the near journal is empty; it is continued from the far one after {}",
                      ahead->welcome.durable));
  }
  os::Lock lock(mutex_);
  file_ = *file;
  return *std::move(file);
}

// A required target is waited for without end: by what all of them have durable commits were
// acknowledged. One that is not required is asked beside them, for a bounded time: it may be gone
// for long, and the others are not to wait for it. Where none is required, one has to answer.
//
// Where it then turns out to hold more than we began with, nothing is merged and nothing passes for
// what it is not. A stream that was begun under another identity is refused by the target. Within
// the same stream its journal ends beyond ours, or at a place where the running hash over all
// records before it differs: what was captured anew stands in other records, of another session.
// Either is a conflict (resume_point): its leg fails with a remedy, and its journal and rows stay
// as they are. Nor is anything lost for the others: capture goes on behind what those hold that
// answered, and fails where the slot was released beyond that (PostgresSource::check_slot).
Result<std::vector<Held>> SourceStream::ask_targets(std::stop_token stop) {
  std::vector<Held> held;
  std::vector<const Target*> open;
  open.reserve(options_.targets.size());
  for (const Target& target : options_.targets) open.push_back(&target);
  const MonotonicTime began = world_.now();
  for (;;) {
    FARSHORE_TRY_ASSIGN(const std::optional<Error> silent, ask_each(open, held));
    if (open.empty()) break;
    if (stop.stop_requested()) return *silent;
    const Duration waited = world_.now() - began;
    const bool required = std::ranges::any_of(open, &Target::required);
    if (!required && !held.empty() && waited > options_.optional_wait) {
      for (const Target* target : open) begin_without(*target, *silent);
      break;
    }
    // Both agents start at about the same time: not being there yet is no news.
    if (waited > kPatience) board_.retrying(*silent, world_.now() + kAskEvery);
    stopper_.wait(stop, kAskEvery);
  }
  board_.worked();
  board_.set(State::starting, "opens its source");
  return held;
}

// Leaves in `open` those that did not answer; of the first of them the reason.
Result<std::optional<Error>> SourceStream::ask_each(std::vector<const Target*>& open,
                                                    std::vector<Held>& held) {
  std::string sites;
  for (const Target* target : open) sites += (sites.empty() ? "" : ", ") + target->site;
  board_.set(State::starting, fmt::format("asks {} what {} of this stream", sites,
                                          open.size() == 1 ? "it holds" : "they hold"));
  std::optional<Error> silent;
  for (const Target* target : std::exchange(open, {})) {
    auto welcome = ask_target(*target);
    if (welcome.ok()) {
      held.push_back({target->site, target->dial, *std::move(welcome)});
      continue;
    }
    if (welcome.error().retry == Retry::no && target->required) return std::move(welcome).error();
    open.push_back(target);
    if (!silent) silent = std::move(welcome).error();
  }
  return silent;
}

void SourceStream::begin_without(const Target& target, const Error& why) {
  board_.report(Severity::warning, "stream.target_not_asked",
                fmt::format("capture begins without having heard what '{}' holds of the stream "
                            "({}): it is not required, and was waited for {}",
                            target.site, why.what, format_duration(options_.optional_wait)));
}

Result<Welcome> SourceStream::ask_target(const Target& target) {
  FARSHORE_TRY_ASSIGN(
      auto channel,
      target.dial(fmt::format("ship/{}/{}", options_.name, target.site), link::Class::control));
  FARSHORE_TRY_ASSIGN(Message answer,
                      ask(*channel, Hello{.name = options_.name}, world_.after(kAskWait)));
  channel->close();
  if (auto* welcome = std::get_if<Welcome>(&answer)) return std::move(*welcome);
  return permanent(ErrorKind::corrupt, "{} answered Hello with something else", target.site);
}

Result<void> SourceStream::prepare_journal(journal::Journal& journal,
                                           const std::vector<Held>& held) {
  if (journal.status().written.sequence > Sequence(0)) {
    if (lacks_its_end(journal)) return restore_end(world_, journal, options_.name, held);
    return {};
  }
  if (!held.empty()) {
    const std::string mark = options_.folder + kRebuilding;
    FARSHORE_TRY(os::replace_file(world_.files(), mark, {}));
    FARSHORE_TRY(rebuild(world_, journal, options_.name, held));
    FARSHORE_TRY(world_.files().remove(mark));
    return world_.files().sync_folder(options_.folder);
  }
  if (!journal.history().empty()) return {};
  return journal.begin_epoch({.epoch = Epoch(1), .first = Sequence(1), .identity = options_.name});
}

}  // namespace farshore::pipeline
