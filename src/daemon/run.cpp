#include "daemon/run.h"

#include <csignal>
#include <iostream>

#include "config/differences.h"
#include "config/secrets.h"
#include "daemon/agent.h"
#include "daemon/log.h"
#include "identity/certificate.h"
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

// What the file or the certificates lack is 2; what is in use, or not to be had now, is 1.
int exit_code(ErrorKind kind) {
  const bool ours =
      kind == ErrorKind::invalid || kind == ErrorKind::not_found || kind == ErrorKind::denied;
  return ours ? kWrongUsage : kRefused;
}

void refuse(const Error& why) {
  log_plain(Severity::error, "config.refused",
            why.what + "; the configuration of before stays in force");
}

std::string port_of(const std::string& address) {
  return address.substr(address.rfind(':') + 1);
}

// What can be known of a start before the running agent is stopped for it: certificates, and
// whether the addresses that it takes anew are free.
Result<void> startable(const config::RegionConfig* now, const config::Config& next,
                       const std::string& region) {
  const config::RegionConfig* own = next.region(region);
  if (own == nullptr) return config::unknown_region(next, region);
  auto plain_world = os::make_real_world(std::nullopt);
  FARSHORE_TRY(identity::check_region_files(*plain_world, own->tls, region));
  for (const auto& [key, address] : {std::pair("listen", own->listen), {"api", own->api}}) {
    const std::string port = port_of(address);
    if (port == port_of(now->listen) || port == port_of(now->api)) continue;  // ours already
    auto taken = plain_world->network().listen(address);
    if (!taken.ok())
      return within(fmt::format("regions.{}.{}", region, key), std::move(taken).error());
  }
  return {};
}

// The file was changed: what differs is logged before it takes effect. Empty: nothing does.
std::optional<config::Config> reload(const config::Config& current, const std::string& region) {
  auto next = load(current.file);
  if (!next.ok()) {
    refuse(next.error());
    return std::nullopt;
  }
  const std::vector<std::string> lines = config::differences(current, *next);
  if (lines.empty()) {
    log_plain(Severity::info, "config.unchanged", current.file);
    return std::nullopt;
  }
  if (auto possible = startable(current.region(region), *next, region); !possible.ok()) {
    refuse(possible.error());
    return std::nullopt;
  }
  for (const std::string& line : lines) log_plain(Severity::info, "config.changed", line);
  return *std::move(next);
}

// An agent starts without a password, since the other sites' streams need none of it; each stream
// that needs it says the same.
void tell_findings(const config::Config& config, const std::string& region) {
  for (const config::Finding& warning : config.warnings)
    log_plain(Severity::warning, "config.warning", config::text_of(warning, config.file));
  for (const config::Finding& finding : config::check_secrets(config, region))
    log_plain(Severity::error, "config.secret", config::text_of(finding, config.file));
}

// An agent and what it stands on, which outlives it.
struct Running {
  std::unique_ptr<os::World> world;
  std::unique_ptr<Agent> agent;
};

Result<Running> start(const config::Config& config, const std::string& region,
                      const std::string& version) {
  tell_findings(config, region);
  Running running;
  FARSHORE_TRY_ASSIGN(running.world, world_of(config, region));
  FARSHORE_TRY_ASSIGN(running.agent,
                      Agent::start(*running.world, config, region, version, log_event));
  log_plain(
      Severity::info, "agent.listens",
      fmt::format("API {}, link {}", running.agent->api_url(), running.agent->link_address()));
  (void)os::notify_service("READY=1");
  return running;
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
  auto running = start(*config, arguments.region, version);
  while (running.ok()) {
    const std::optional<int> signal = signals.wait(Deadline::never());
    if (signal != SIGHUP) {
      (void)os::notify_service("STOPPING=1");
      return 0;
    }
    auto next = reload(*config, arguments.region);
    if (!next) continue;
    (void)os::notify_service("RELOADING=1");
    running->agent.reset();  // the next one takes its data folder and addresses
    running = start(*next, arguments.region, version);
    if (running.ok()) {
      config = *std::move(next);
      continue;
    }
    refuse(running.error());
    running = start(*config, arguments.region, version);
  }
  log_plain(Severity::error, "agent.refused", running.error().what);
  return exit_code(running.error().kind);
}

}  // namespace farshore::daemon
