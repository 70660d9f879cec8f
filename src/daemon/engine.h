// Engine: makes the parts of a stream that know a database, from the configuration. The one place
// that names engines.
#pragma once

#include <memory>
#include <string>

#include "change/event.h"
#include "config/config.h"
#include "os/world.h"
#include "pipeline/source_stream.h"
#include "sink/copy_sink.h"
#include "sink/sink.h"
#include "site/site.h"
#include "source/source.h"

namespace farshore::daemon {

struct TargetParts {
  std::unique_ptr<Sink> sink, aside;  // of the tables that stream, of those set aside
  std::unique_ptr<CopySink> copy_sink;
};

Result<pipeline::SourceParts> make_source(os::World& world, const config::Config& config,
                                          const config::StreamConfig& stream, const Uuid& id,
                                          EventSink events);
// `folder`: the leg's, in which the sink saves what the target refuses.
Result<TargetParts> make_target(os::World& world, const config::Config& config,
                                const config::StreamConfig& stream,
                                const config::TargetConfig& target, const std::string& folder,
                                EventSink events);
Result<std::unique_ptr<HeartbeatWriter>> make_heartbeat(os::World& world,
                                                        const config::SiteConfig& site);
Result<std::unique_ptr<Site>> make_site(os::World& world, const config::Config& config,
                                        const config::SiteConfig& site,
                                        const config::StreamConfig* stream);
ExistingRows existing_of(config::Existing existing);
// Drops what the stream holds at its source (slot, publication) or target (origin, state); safe to
// call again.
Result<void> forget_source(os::World& world, const config::Config& config,
                           const config::StreamConfig& stream, const Uuid& id);
Result<void> forget_target(os::World& world, const config::Config& config,
                           const config::StreamConfig& stream, const config::TargetConfig& target,
                           const Uuid& id);

}  // namespace farshore::daemon
