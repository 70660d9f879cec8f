#include "daemon/engine.h"

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/heartbeat.h"
#include "engine/postgres/sink.h"
#include "engine/postgres/site.h"
#include "engine/postgres/snapshot.h"
#include "engine/postgres/source.h"
#include "engine/postgres/table_rules.h"
#include "pipeline/stream_file.h"

namespace farshore::daemon {
namespace {

Error unknown_engine(const config::SiteConfig& site) {
  return permanent(ErrorKind::invalid, "site '{}' has the engine '{}': this version knows postgres",
                   site.name, site.engine);
}

postgres::PasswordSource password_of(const config::SiteConfig& site) {
  return {.file = site.password_file, .environment = site.password_env};
}

postgres::ConnectOptions connect_of(const config::SiteConfig& site,
                                    const std::string& application_name) {
  return {
      .conninfo = site.dsn, .password = password_of(site), .application_name = application_name};
}

std::vector<postgres::TableRule> rules_of(const config::StreamConfig& stream) {
  std::vector<postgres::TableRule> rules;
  rules.reserve(stream.tables.size());
  for (const config::TableRule& rule : stream.tables)
    rules.push_back({.match = rule.match,
                     .exclude = rule.exclude,
                     .durability = static_cast<postgres::DurabilityClass>(rule.durability),
                     .identity_full = rule.identity == config::ReplicaIdentity::full});
  return rules;
}

postgres::SourceOptions source_options(const config::Config& config,
                                       const config::StreamConfig& stream, const Uuid& id,
                                       EventSink events) {
  const config::SiteConfig& site = *config.site(stream.from);
  return {.name = stream.name,
          .region = site.region,
          .stream = id,
          .conninfo = site.dsn,
          .password = password_of(site),
          .tables = rules_of(stream),
          .retain_max = stream.source.retain_max,
          .wal_max = stream.source.wal_max,
          .events = [events = std::move(events), name = stream.name](Event event) {
            if (!events) return;
            event.stream = name;
            events(std::move(event));
          }};
}

// The stream's identity as the site's own region knows it; nil when it has not begun there, or that
// is another machine.
Uuid known_identity(os::World& world, const config::Config& config,
                    const config::StreamConfig& stream, const config::SiteConfig& site) {
  const std::string end = stream.from == site.name ? "source" : "to-" + site.name;
  const std::string path = fmt::format("{}/streams/{}/{}/stream.file",
                                       config.region(site.region)->data, stream.name, end);
  auto file = pipeline::load_stream_file(world.files(), path);
  return file.ok() && *file ? (*file)->stream : Uuid{};
}

}  // namespace

Result<pipeline::SourceParts> make_source(os::World& world, const config::Config& config,
                                          const config::StreamConfig& stream, const Uuid& id,
                                          EventSink events) {
  const config::SiteConfig& site = *config.site(stream.from);
  if (site.engine != "postgres") return unknown_engine(site);
  const postgres::SourceOptions options = source_options(config, stream, id, std::move(events));
  return pipeline::SourceParts{postgres::make_source(world, options),
                               postgres::make_snapshot_source(world, options)};
}

Result<TargetParts> make_target(os::World& world, const config::Config& config,
                                const config::StreamConfig& stream,
                                const config::TargetConfig& target, const std::string& folder,
                                EventSink events) {
  const config::SiteConfig& site = *config.site(target.site);
  if (site.engine != "postgres") return unknown_engine(site);
  EventSink named = [events = std::move(events), name = stream.name,
                     to = target.site](Event event) {
    event.stream = name;
    event.target = to;
    events(std::move(event));
  };
  const postgres::ConnectOptions connect = connect_of(site, "farshore_apply_" + stream.name);
  const LegName leg{.stream = stream.name, .target = target.site, .region = site.region};
  postgres::SinkOptions options{
      .leg = leg, .unknown_waits = true, .rejected_folder = folder + "/rejected"};
  postgres::SinkOptions aside = options;
  aside.aside = true;
  return TargetParts{
      std::make_unique<postgres::PostgresSink>(world, connect, std::move(options), named),
      std::make_unique<postgres::PostgresSink>(world, connect, std::move(aside), named),
      postgres::make_copy_sink(world, connect_of(site, "farshore_copy_" + stream.name),
                               postgres::SinkOptions{.leg = leg}, named)};
}

Result<std::unique_ptr<HeartbeatWriter>> make_heartbeat(os::World& world,
                                                        const config::SiteConfig& site) {
  if (site.engine != "postgres") return unknown_engine(site);
  return postgres::make_heartbeat_writer(world, connect_of(site, ""));
}

Result<std::unique_ptr<Site>> make_site(os::World& world, const config::Config& config,
                                        const config::SiteConfig& site,
                                        const config::StreamConfig* stream) {
  if (site.engine != "postgres") return unknown_engine(site);
  postgres::SiteOptions options{.name = site.name, .connect = connect_of(site, "farshore_check")};
  if (stream != nullptr) {
    options.stream = known_identity(world, config, *stream, site);
    options.stream_name = stream->name;
    if (stream->from == site.name) options.rules = rules_of(*stream);
    for (const config::TargetConfig& target : stream->to)
      if (target.site == site.name) options.existing = existing_of(target.existing);
  }
  return postgres::make_site(world, std::move(options));
}

ExistingRows existing_of(config::Existing existing) {
  switch (existing) {
    case config::Existing::refuse:
      return ExistingRows::refuse;
    case config::Existing::keep:
      return ExistingRows::keep;
    case config::Existing::replace:
      return ExistingRows::replace;
  }
  return ExistingRows::refuse;
}

Result<void> forget_source(os::World& world, const config::Config& config,
                           const config::StreamConfig& stream, const Uuid& id) {
  return postgres::remove_source(world, source_options(config, stream, id, {}));
}

Result<void> forget_target(os::World& world, const config::Config& config,
                           const config::StreamConfig& stream, const config::TargetConfig& target,
                           const Uuid& id) {
  (void)stream;
  return postgres::remove_target(world, connect_of(*config.site(target.site), "farshore_remove"),
                                 id);
}

}  // namespace farshore::daemon
