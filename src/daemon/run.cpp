#include "daemon/run.h"

#include <csignal>
#include <iostream>

#include "config/differences.h"
#include "daemon/agent.h"
#include "daemon/log.h"
#include "os/process.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

constexpr int kWrongUsage = 2;
constexpr int kRefused = 1;

Result<config::Config> load(const std::string& file) {
  auto files_world = os::make_real_world(std::nullopt);
  return config::load(files_world->files(), file);
}

void log_plain(Severity severity, const std::string& name, const std::string& message) {
  log_event({.severity = severity, .name = name, .message = message, .at = os::real_wall_now()});
}

Result<std::unique_ptr<os::World>> world_of(const config::Config& config,
                                            const std::string& region) {
  const config::RegionConfig* own = config.region(region);
  if (own == nullptr) return os::make_real_world(std::nullopt);  // the agent names the mistake
  return os::make_real_world(os::TlsFiles{.ca = own->tls + "/ca.crt",
                                          .certificate = fmt::format("{}/{}.crt", own->tls, region),
                                          .key = fmt::format("{}/{}.key", own->tls, region)});
}

// The file was changed: what differs is logged before it takes effect.
bool reload(const std::string& file, config::Config& current) {
  auto next = load(file);
  if (!next.ok()) {
    log_plain(Severity::error, "config.refused",
              next.error().what + "; the configuration of before stays in force");
    return false;
  }
  const std::vector<std::string> lines = config::differences(current, *next);
  if (lines.empty()) {
    log_plain(Severity::info, "config.unchanged", file);
    return false;
  }
  for (const std::string& line : lines) log_plain(Severity::info, "config.changed", line);
  current = *std::move(next);
  return true;
}

}  // namespace

int run(const cli::RunArguments& arguments, cli::Output output, const std::string& version) {
  os::Signals signals;
  const auto log_options = parse_log_options(arguments.log_format, arguments.log_level);
  if (!log_options.ok()) {
    output.err << "farshore: " << log_options.error().what << "\n";
    return kWrongUsage;
  }
  auto config = load(arguments.config);
  if (!config.ok()) {
    output.err << "farshore: " << config.error().what << "\n";
    return kWrongUsage;
  }
  open_log(*log_options);
  for (const config::Finding& warning : config->warnings)
    log_plain(Severity::warning, "config.warning", config::text_of(warning, config->file));

  for (;;) {
    auto world = world_of(*config, arguments.region);
    if (!world.ok()) {
      log_plain(Severity::error, "agent.refused", world.error().what);
      return kRefused;
    }
    auto agent = Agent::start(**world, *config, arguments.region, version, log_event);
    if (!agent.ok()) {
      log_plain(Severity::error, "agent.refused", agent.error().what);
      return agent.error().kind == ErrorKind::invalid ? kWrongUsage : kRefused;
    }
    log_plain(
        Severity::info, "agent.listens",
        fmt::format("API http://{}, link {}", (*agent)->api_address(), (*agent)->link_address()));
    (void)os::notify_service("READY=1");
    for (;;) {
      const std::optional<int> signal = signals.wait(Deadline::never());
      if (signal == SIGHUP && !reload(arguments.config, *config)) continue;
      (void)os::notify_service(signal == SIGHUP ? "RELOADING=1" : "STOPPING=1");
      agent->reset();
      if (signal != SIGHUP) return 0;
      break;
    }
  }
}

}  // namespace farshore::daemon
