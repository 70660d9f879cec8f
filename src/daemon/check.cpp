#include "daemon/check.h"

#include <fmt/ranges.h>

#include <bit>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "api/views_json.h"
#include "config/secrets.h"
#include "daemon/engine.h"
#include "identity/certificate.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

// The largest send buffer a connection needs: 1 Gbit/s for one round trip.
constexpr double kBytesPerSecond = 125e6;
constexpr Duration kClockOffsetMax = 1s;  // between two regions

api::FindingView::Level level_of(FindingLevel level) {
  switch (level) {
    case FindingLevel::note:
      return api::FindingView::Level::note;
    case FindingLevel::warning:
      return api::FindingView::Level::warning;
    case FindingLevel::error:
      return api::FindingView::Level::error;
  }
  return api::FindingView::Level::error;
}

Finding secret_finding(const char* code, std::string object, os::SecretFault fault) {
  return {.code = code,
          .object = std::move(object),
          .message = std::move(fault.what),
          .remedy = std::move(fault.remedy)};
}

// One run of `check`: what each site is asked, and how the tables of a stream compare.
class Check {
 public:
  Check(os::World& world, const config::Config& config, std::string region,
        const AskElsewhere& elsewhere, std::stop_token stop)
      : world_(world),
        config_(config),
        region_(std::move(region)),
        elsewhere_(elsewhere),
        stop_(std::move(stop)) {}

  void check(const config::StreamConfig& stream);
  // Its certificates and its API's token, where they are here.
  void check(const config::RegionConfig& region);
  void check_file();
  std::vector<api::FindingView> take() { return std::move(findings_); }

 private:
  bool here(const std::string& site) const;  // else that region's own agent asks it
  void add(const std::string& stream, std::vector<Finding> findings);
  void check_site(const config::StreamConfig& stream, const std::string& site, SiteRole role);
  void compare(const config::StreamConfig& stream, const std::string& target);
  Result<SiteAnswer> ask(const config::StreamConfig& stream, const std::string& site,
                         const SiteQuestion& question);
  Result<SiteAnswer> ask_from_here(const config::StreamConfig& stream, const std::string& site,
                                   const SiteQuestion& question);
  Result<SiteAnswer> describe(const config::StreamConfig& stream);

  os::World& world_;
  const config::Config& config_;
  const std::string region_;
  const AskElsewhere& elsewhere_;
  const std::stop_token stop_;
  std::vector<api::FindingView> findings_;
  std::set<std::string> unreachable_;                       // sites, each said already
  std::map<std::string, std::string> not_reached_;          // sites elsewhere, and why
  std::map<std::string, Result<SiteAnswer>> descriptions_;  // by stream
};

bool Check::here(const std::string& site) const {
  return region_.empty() || config_.site(site)->region == region_;
}

void Check::add(const std::string& stream, std::vector<Finding> findings) {
  for (Finding& finding : findings)
    findings_.push_back({.level = level_of(finding.level),
                         .code = std::move(finding.code),
                         .stream = stream,
                         .object = std::move(finding.object),
                         .message = std::move(finding.message),
                         .remedy = std::move(finding.remedy)});
}

void Check::check_site(const config::StreamConfig& stream, const std::string& site_name,
                       SiteRole role) {
  if (!here(site_name)) return;
  const config::SiteConfig& site = *config_.site(site_name);
  if (auto fault = config::password_fault(site)) {
    unreachable_.insert(site_name);
    return add(stream.name,
               {secret_finding("password",
                               fmt::format("site {}, {}", site_name, config::password_key(site)),
                               *std::move(fault))});
  }
  auto made = make_site(world_, config_, site, &stream);
  if (!made.ok())
    return add(stream.name, {{.code = "site",
                              .object = "site " + site_name,
                              .message = made.error().what,
                              .remedy = fmt::format("correct `sites.{}.engine`", site_name)}});
  std::stop_callback interrupt(stop_, [&] { (*made)->interrupt(); });
  auto findings = (*made)->check(role);
  for (const Finding& finding : findings)
    if (finding.code == "unreachable") unreachable_.insert(site_name);
  add(stream.name, std::move(findings));
}

Result<SiteAnswer> Check::ask_from_here(const config::StreamConfig& stream, const std::string& site,
                                        const SiteQuestion& question) {
  FARSHORE_TRY_ASSIGN(auto made, make_site(world_, config_, *config_.site(site), &stream));
  std::stop_callback interrupt(stop_, [&] { made->interrupt(); });
  return answer_to(*made, question);
}

// The other region's agent stands beside its database; a connection from here may be refused, or
// its password not be here.
Result<SiteAnswer> Check::ask(const config::StreamConfig& stream, const std::string& site,
                              const SiteQuestion& question) {
  if (here(site) || !elsewhere_) return ask_from_here(stream, site, question);
  auto answer = elsewhere_(stream, site, question);
  if (answer.ok()) return answer;
  auto direct = ask_from_here(stream, site, question);
  if (direct.ok()) return direct;
  return permanent(ErrorKind::unavailable, "through the agent there: {}; from here: {}",
                   answer.error().what, direct.error().what);
}

// Asked once, however many targets there are.
Result<SiteAnswer> Check::describe(const config::StreamConfig& stream) {
  const auto known = descriptions_.find(stream.name);
  if (known != descriptions_.end()) return known->second;
  return descriptions_.emplace(stream.name, ask(stream, stream.from, {})).first->second;
}

// Needs both databases, of which one stands in another region: from here it may be reached or not.
void Check::compare(const config::StreamConfig& stream, const std::string& target) {
  if (!here(stream.from) && !here(target)) return;
  if (unreachable_.contains(stream.from) || unreachable_.contains(target)) return;
  const std::string& other = here(target) ? stream.from : target;
  std::string& why = not_reached_[other];
  if (why.empty()) {
    auto found = [&]() -> Result<SiteAnswer> {
      FARSHORE_TRY_ASSIGN(const SiteAnswer source, describe(stream));
      return ask(stream, target, {.description = source.description});
    }();
    if (found.ok()) return add(stream.name, std::move(found->findings));
    why = found.error().what;
  }
  add(stream.name, {{.level = FindingLevel::note,
                     .code = "not_compared",
                     .object = "site " + target,
                     .message = fmt::format("its tables are not compared with those of site {}: {}",
                                            stream.from, why),
                     .remedy = fmt::format(
                         "farshore check  -- in region {}, or with --offline on a machine that "
                         "reaches both databases",
                         config_.site(other)->region)}});
}

void Check::check(const config::StreamConfig& stream) {
  check_site(stream, stream.from, SiteRole::source);
  for (const config::TargetConfig& target : stream.to)
    check_site(stream, target.site, SiteRole::target);
  for (const config::TargetConfig& target : stream.to) compare(stream, target.site);
}

void Check::check(const config::RegionConfig& region) {
  // What expires ends with the command that renews it.
  const auto add_one = [&](FindingLevel level, const std::string& what, std::string remedy) {
    const std::size_t command = what.find(": farshore ");
    if (command != std::string::npos) remedy = what.substr(command + 2);
    add("", {{.level = level,
              .code = "certificate",
              .object = "region " + region.name,
              .message = what.substr(0, command),
              .remedy = std::move(remedy)}});
  };
  auto token = config::api_token_fault(region);
  const bool elsewhere = token && token->kind == ErrorKind::not_found && region_.empty();
  if (token && !elsewhere)
    add("", {secret_finding("api_token", fmt::format("region {}, api_token_file", region.name),
                            *std::move(token))});
  const auto files = identity::check_region_files(world_, region.tls, region.name);
  if (!files.ok()) {
    const bool missing = files.error().kind == ErrorKind::not_found;
    if (missing && region_.empty()) return;  // on another machine
    return add_one(FindingLevel::error, files.error().what,
                   missing
                       ? fmt::format("install -D -m 0600 -t {1} FOLDER/{{ca.crt,{0}.crt,{0}.key}}",
                                     region.name, region.tls)
                       : "farshore cert show  -- then as it is said above");
  }
  for (const std::string& name : {std::string("ca"), region.name}) {
    const auto facts =
        identity::read_certificate(world_.files(), fmt::format("{}/{}.crt", region.tls, name));
    if (!facts.ok()) continue;
    const std::string warning = identity::expiry_warning(*facts, world_.clock().wall());
    if (!warning.empty()) add_one(FindingLevel::warning, warning, "");
  }
}

// An error of it keeps every command from running.
void Check::check_file() {
  for (const config::Finding& warning : config_.warnings)
    add("", {{.level = FindingLevel::warning,
              .code = "configuration",
              .object = "configuration",
              .message = config::text_of(warning, config_.file),
              .remedy = ""}});
}

// tcp_wmem and tcp_rmem: what a connection has at least, at first, and may grow to, of which the
// kernel needs about half for itself (net.ipv4.tcp_adv_win_scale = 1). Zeros: not known.
struct KernelBuffer {
  unsigned long long low = 0, usual = 0, high = 0;
};
KernelBuffer kernel_buffer(os::Files& files, const std::string& name) {
  auto file = files.open("/proc/sys/net/ipv4/" + name, os::OpenMode::read);
  if (!file.ok()) return {};
  char text[128] = {};
  auto count = (*file)->read_at(0, text, sizeof text - 1);
  KernelBuffer is;
  if (!count.ok() || std::sscanf(text, "%llu %llu %llu", &is.low, &is.usual, &is.high) != 3)
    return {};
  return is;
}

Result<config::Config> load(os::World& world, const std::string& file) {
  return config::load(world.files(), file);
}

// On a machine of its own each agent may have the same folder and address: there is no choice then.
std::vector<std::string> agents_here(const config::Config& config) {
  std::vector<std::string> names;
  std::set<std::string> addresses;
  for (const config::RegionConfig& region : config.regions)
    if (std::filesystem::exists(region.data + "/agent.lock") && addresses.insert(region.api).second)
      names.push_back(region.name);
  return names;
}

// With a token the API speaks https, with the region's certificate.
cli::ApiEndpoint endpoint_of(const config::RegionConfig& region) {
  if (region.api_token_file.empty()) return {.url = "http://" + region.api};
  return {.url = "https://" + region.api,
          .token_file = region.api_token_file,
          .ca = region.tls + "/ca.crt",
          .name = region.name};
}

Result<const config::RegionConfig*> region_at(const config::Config& config,
                                              const std::string& address) {
  const config::RegionConfig* found = nullptr;
  for (const config::RegionConfig& region : config.regions) {
    if (region.api != address || region.api_token_file.empty()) continue;
    if (found != nullptr)
      return permanent(ErrorKind::not_found, "the API of {} and of {} is at {}", found->name,
                       region.name, address);
    found = &region;
  }
  if (found == nullptr)
    return permanent(ErrorKind::not_found, "no region of {} has its API at {}", config.file,
                     address);
  return found;
}

}  // namespace

std::vector<api::FindingView> check_kernel(const std::string& region, Duration rtt_min) {
  std::vector<api::FindingView> out;
  auto world = os::make_real_world(std::nullopt);
  const auto needed = static_cast<std::uint64_t>(2 * kBytesPerSecond * seconds_of(rtt_min));
  for (const char* name : {"tcp_wmem", "tcp_rmem"}) {
    const KernelBuffer have = kernel_buffer(world->files(), name);
    if (have.high == 0 || have.high >= needed) continue;
    out.push_back(
        {.level = api::FindingView::Level::note,
         .code = "kernel_buffers",
         .stream = "",
         .object = fmt::format("region {}, kernel setting net.ipv4.{}", region, name),
         .message = fmt::format(
             "each connection of the link may buffer {}: {:.0f} Mbit/s at a round trip of {}",
             format_bytes(have.high),
             static_cast<double>(have.high) / 2 * 8 / seconds_of(rtt_min) / 1e6,
             format_duration(rtt_min)),
         // With room, so that a round trip which is a little longer does not bring it back.
         .remedy = fmt::format("sysctl -w net.ipv4.{}='{} {} {}'", name, have.low, have.usual,
                               std::bit_ceil(needed))});
  }
  return out;
}

std::vector<api::FindingView> check_clocks(const std::string& region, const link::PeerFacts& facts,
                                           const std::string& peer) {
  const Duration offset = facts.clock_offset, bound = facts.clock_offset_bound;
  if (std::chrono::abs(offset) <= kClockOffsetMax + bound) return {};
  return {{.level = api::FindingView::Level::warning,
           .code = "region_clock_offset",
           .stream = "",
           .object = "region " + peer,
           .message = fmt::format(
               "its clock is {:+.1f} s off that of region {}, within {}: lags and `apply_delay` "
               "allow for it, but the times of events of both regions do not fit together, and "
               "`pause --at` goes by the clock of the source's region",
               seconds_of(offset), region, format_duration(bound)),
           .remedy = "run a time service (chrony, systemd-timesyncd) on the agents' machines of "
                     "both regions"}};
}

Result<std::vector<api::FindingView>> check(os::World& world, const config::Config& config,
                                            const std::string& region,
                                            const std::string& stream_name,
                                            const AskElsewhere& elsewhere, std::stop_token stop) {
  Check run(world, config, region, elsewhere, std::move(stop));
  if (stream_name.empty()) run.check_file();
  bool found = false;
  for (const config::StreamConfig& stream : config.streams) {
    if (!stream_name.empty() && stream.name != stream_name) continue;
    found = true;
    run.check(stream);
  }
  if (!found && !stream_name.empty()) return config::unknown_stream(config, stream_name);
  for (const config::RegionConfig& candidate : config.regions)
    if (region.empty() || candidate.name == region) run.check(candidate);
  return run.take();
}

Result<std::string> grants(os::World& world, const config::Config& config,
                           const std::string& site_name, api::GrantRole role,
                           std::stop_token stop) {
  const config::SiteConfig* site = config.site(site_name);
  if (site == nullptr) return config::unknown_site(config, site_name);
  const config::StreamConfig* stream = nullptr;
  for (const config::StreamConfig& candidate : config.streams)
    if (candidate.from == site_name) stream = &candidate;
  FARSHORE_TRY_ASSIGN(auto made, make_site(world, config, *site, stream));
  std::stop_callback interrupt(stop, [&] { made->interrupt(); });
  return made->grants(role == api::GrantRole::source ? SiteRole::source : SiteRole::target);
}

Result<std::string> check_text(const cli::CheckArguments& arguments) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, arguments.config));
  if (!arguments.region.empty() && config.region(arguments.region) == nullptr)
    return config::unknown_region(config, arguments.region);
  FARSHORE_TRY_ASSIGN(const auto findings,
                      check(*world, config, arguments.region, arguments.stream));
  return api::to_json(findings).dump();
}

Result<std::string> grants_text(const cli::GrantsArguments& arguments) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, arguments.config));
  return grants(*world, config, arguments.site,
                arguments.role == "target" ? api::GrantRole::target : api::GrantRole::source);
}

Result<std::vector<std::string>> regions_here(const std::string& config_file) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, config_file));
  return agents_here(config);
}

Result<cli::ApiEndpoint> api_endpoint(const cli::EndpointArguments& arguments) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, arguments.config));
  const config::SiteConfig* site = config.site(arguments.site);
  const std::string& region_name =
      arguments.region.empty() && site != nullptr ? site->region : arguments.region;
  const config::RegionConfig* chosen = config.region(region_name);
  if (!region_name.empty() && chosen == nullptr) return config::unknown_region(config, region_name);
  if (chosen == nullptr && !arguments.given_address.empty()) {
    FARSHORE_TRY_ASSIGN(chosen, region_at(config, arguments.given_address));
  }
  if (chosen == nullptr) {
    const std::vector<std::string> here = agents_here(config);
    if (here.size() > 1)
      return permanent(ErrorKind::invalid,
                       "the agents of {} have their data on this machine: say which one is meant "
                       "with --region {}",
                       fmt::join(here, " and "), fmt::join(here, " or --region "));
    if (!here.empty()) chosen = config.region(here.front());
  }
  if (chosen == nullptr && !config.regions.empty()) chosen = &config.regions.front();
  return chosen == nullptr ? cli::ApiEndpoint{} : endpoint_of(*chosen);
}

}  // namespace farshore::daemon
