// What an operator's verbs do to the ends of streams that this region has.
#include "change/remedy.h"
#include "daemon/agent.h"

namespace farshore::daemon {
namespace {

// `site` empty: all targets are meant.
Result<void> expect_target(const config::StreamConfig& stream, const std::string& site) {
  std::string names;
  for (const config::TargetConfig& target : stream.to) {
    if (site.empty() || target.site == site) return {};
    names += (names.empty() ? "" : ", ") + target.site;
  }
  return permanent(ErrorKind::not_found, "stream '{}' has no target '{}': it has {}", stream.name,
                   site, names);
}

}  // namespace

Result<api::Outcome> Agent::act(const api::StreamAction& action) {
  if (config_.stream(action.stream) == nullptr)
    return config::unknown_stream(config_, action.stream);
  if (action.verb == api::Verb::remove) return remove(action);
  FARSHORE_TRY(expect_target(*config_.stream(action.stream), action.to));
  bool found = false;
  for (auto& entry : targets_) {
    if (entry->config->name != action.stream ||
        (!action.to.empty() && entry->target->site != action.to))
      continue;
    FARSHORE_TRY(expect_not_removed(*entry));
    FARSHORE_TRY(act_on_target(*entry, action));
    found = true;
  }
  for (auto& entry : sources_) {
    if (entry->config->name != action.stream) continue;
    FARSHORE_TRY(expect_not_removed(*entry));
    FARSHORE_TRY(act_on_source(*entry, action));
    found = true;
  }
  if (!found) return no_end_here(action);
  sink_({.severity = Severity::info,
         .name = fmt::format("stream.{}", api::name_of(action.verb)),
         .stream = action.stream,
         .target = action.to,
         .message = fmt::format("by {}{}{}", action.by,
                                action.place.empty() ? "" : ", place " + action.place,
                                action.table.empty() ? "" : ", table " + action.table)});
  return api::Outcome::done;
}

template <class Entry>
Result<void> Agent::expect_not_removed(const Entry& entry) {
  os::Lock lock(removals_mutex_);
  if (!entry.removed) return {};
  return permanent(ErrorKind::conflict,
                   "stream '{}' was removed here: take it out of {}, or start this agent anew to "
                   "begin anew with it",
                   entry.config->name, config_.file);
}

Error Agent::no_end_here(const api::StreamAction& action) const {
  const std::string& source_region = config_.site(config_.stream(action.stream)->from)->region;
  const config::SiteConfig* target = config_.site(action.to);
  const bool there = target != nullptr && target->region != region_.name;
  return permanent(ErrorKind::not_found,
                   "this region holds no end of stream '{}'{}: ask the agent of region {}",
                   action.stream, action.to.empty() ? "" : " for target '" + action.to + "'",
                   there ? target->region : source_region);
}

Result<void> Agent::act_on_target(TargetEntry& entry, const api::StreamAction& action) {
  switch (action.verb) {
    case api::Verb::pause:
      return entry.leg->pause(action.at);
    case api::Verb::resume:
      return entry.leg->resume();
    case api::Verb::skip:
      return entry.leg->verb("skip", action.place);
    case api::Verb::resnapshot:
      FARSHORE_TRY(capture_goes_on(*entry.config));
      return entry.leg->resnapshot(action.table);
    case api::Verb::remove:
      break;
  }
  return {};
}

// What is copied without it never becomes current.
Result<void> Agent::capture_goes_on(const config::StreamConfig& stream) {
  const std::string& region = config_.site(stream.from)->region;
  const auto capture = told_by_source(stream, "");
  if (!capture || capture->state != api::State::failed) return {};
  return permanent(ErrorKind::conflict,
                   "nothing is copied anew: capture of stream '{}' in region {} has failed: {}{}",
                   stream.name, region, capture->reason, to_do(capture->remedy));
}

Result<void> Agent::act_on_source(SourceEntry& entry, const api::StreamAction& action) {
  pipeline::SourceStream& stream = *entry.stream;
  switch (action.verb) {
    case api::Verb::resume:
      return stream.resume(action.to);
    case api::Verb::pause:
      return stream.forward(action.to, "pause", action.at ? format_time(*action.at) : "");
    case api::Verb::skip:
      return stream.forward(action.to, "skip", action.place);
    case api::Verb::resnapshot:
      return stream.resnapshot(action.to, action.table);
    case api::Verb::remove:
      break;
  }
  return {};
}

Result<void> Agent::explain_at_source(const api::StreamAction& action) const {
  for (const auto& entry : sources_) {
    if (entry->config->name != action.stream) continue;
    for (const config::TargetConfig& target : entry->config->to)
      if (target.site == action.to)
        return permanent(ErrorKind::conflict,
                         "'{}' is a target of stream '{}': take '{}' out of `to` in {} of every "
                         "region and start this agent anew, which then keeps nothing for it; its "
                         "own region's end goes with the same command there",
                         action.to, action.stream, action.to, config_.file);
    return permanent(ErrorKind::not_found,
                     "'{}' is no target of stream '{}' in {}: nothing is kept for it here; its own "
                     "region's end, if there is one, goes with the same command there",
                     action.to, action.stream, config_.file);
  }
  return {};
}

// Forgets the stream at this end: stops it, drops what it holds in the database, and its folder.
Result<void> Agent::remove(TargetEntry& entry) {
  const Uuid id = entry.leg->status().stream;
  entry.thread.request_stop();
  entry.thread.join();
  if (!id.is_nil()) FARSHORE_TRY(forget_target(world_, config_, *entry.config, *entry.target, id));
  return remove_folder(folder_of(*entry.config, entry.target->site));
}

Result<void> Agent::remove(SourceEntry& entry) {
  const Uuid id = entry.stream->status().stream;
  entry.thread.request_stop();
  entry.thread.join();
  if (!id.is_nil()) FARSHORE_TRY(forget_source(world_, config_, *entry.config, id));
  return remove_folder(folder_of(*entry.config, ""));
}

Result<api::Outcome> Agent::remove(const api::StreamAction& action) {
  os::Lock lock(removals_mutex_);
  bool found = false, done = false;
  const auto remove_once = [&](auto& entry) -> Result<void> {
    found = true;
    if (entry.removed) return {};
    FARSHORE_TRY(remove(entry));
    entry.removed = done = true;
    return {};
  };
  for (auto& entry : targets_) {
    if (entry->config->name != action.stream ||
        (!action.to.empty() && entry->target->site != action.to))
      continue;
    FARSHORE_TRY(remove_once(*entry));
  }
  for (auto& entry : sources_) {
    if (entry->config->name != action.stream || !action.to.empty()) continue;
    FARSHORE_TRY(remove_once(*entry));
  }
  if (!found && !action.to.empty()) FARSHORE_TRY(explain_at_source(action));
  if (!found) return no_end_here(action);
  if (!done) return api::Outcome::already;
  sink_({.severity = Severity::warning,
         .name = "stream.removed",
         .stream = action.stream,
         .target = action.to,
         .message =
             fmt::format("by {}; take it out of {} too, else it begins anew when the agent starts",
                         action.by, config_.file)});
  return api::Outcome::done;
}

Result<void> Agent::remove_folder(const std::string& folder) {
  auto names = world_.files().list(folder);
  if (!names.ok() && names.error().kind == ErrorKind::not_found) return {};
  if (!names.ok()) return std::move(names).error();
  for (const std::string& name : *names) {
    const std::string path = fmt::format("{}/{}", folder, name);
    if (world_.files().remove(path).ok()) continue;
    FARSHORE_TRY(remove_folder(path));
  }
  return world_.files().remove(folder);
}

}  // namespace farshore::daemon
