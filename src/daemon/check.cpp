#include "daemon/check.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/views_json.h"
#include "daemon/engine.h"
#include "identity/certificate.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

// The largest send buffer a connection needs: 1 Gbit/s for one round trip.
constexpr double kBytesPerSecond = 125e6;

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

void append(std::vector<api::FindingView>& out, const std::string& stream,
            std::vector<Finding> findings) {
  for (Finding& finding : findings)
    out.push_back({.level = level_of(finding.level),
                   .code = std::move(finding.code),
                   .stream = stream,
                   .object = std::move(finding.object),
                   .message = std::move(finding.message),
                   .remedy = std::move(finding.remedy)});
}

void check_site(os::World& world, const config::Config& config, const config::StreamConfig& stream,
                const std::string& site_name, SiteRole role, const std::string& region,
                std::vector<api::FindingView>& out) {
  const config::SiteConfig& site = *config.site(site_name);
  if (!region.empty() && site.region != region) return;  // that region's own agent asks it
  auto made = make_site(world, config, site, &stream);
  if (!made.ok())
    return append(out, stream.name,
                  {{.code = "site",
                    .object = "site " + site_name,
                    .message = made.error().what,
                    .remedy = ""}});
  append(out, stream.name, (*made)->check(role));
}

// tcp_wmem and tcp_rmem: the third number is what a connection may grow to.
std::uint64_t kernel_maximum(os::Files& files, const std::string& name) {
  auto file = files.open("/proc/sys/net/ipv4/" + name, os::OpenMode::read);
  if (!file.ok()) return 0;
  char text[128] = {};
  auto count = (*file)->read_at(0, text, sizeof text - 1);
  unsigned long long low = 0, usual = 0, high = 0;
  if (!count.ok() || std::sscanf(text, "%llu %llu %llu", &low, &usual, &high) != 3) return 0;
  return high;
}

Result<config::Config> load(os::World& world, const std::string& file) {
  return config::load(world.files(), file);
}

}  // namespace

std::vector<api::FindingView> check_kernel(Duration rtt) {
  std::vector<api::FindingView> out;
  auto world = os::make_real_world(std::nullopt);
  const auto needed = static_cast<std::uint64_t>(kBytesPerSecond * seconds_of(rtt));
  for (const char* name : {"tcp_wmem", "tcp_rmem"}) {
    const std::uint64_t have = kernel_maximum(world->files(), name);
    if (have == 0 || have >= needed) continue;
    out.push_back(
        {.level = api::FindingView::Level::warning,
         .code = "kernel_buffers",
         .stream = "",
         .object = fmt::format("kernel setting net.ipv4.{}", name),
         .message = fmt::format(
             "a connection's buffer may grow to {}: at a round trip of {} that is {:.0f} Mbit/s "
             "for each connection of the link",
             format_bytes(have), format_duration(rtt),
             static_cast<double>(have) * 8 / seconds_of(rtt) / 1e6),
         .remedy = fmt::format("sysctl -w net.ipv4.{}='4096 131072 {}'", name, needed)});
  }
  return out;
}

Result<std::vector<api::FindingView>> check(os::World& world, const config::Config& config,
                                            const std::string& region,
                                            const std::string& stream_name) {
  std::vector<api::FindingView> out;
  bool found = false;
  for (const config::StreamConfig& stream : config.streams) {
    if (!stream_name.empty() && stream.name != stream_name) continue;
    found = true;
    check_site(world, config, stream, stream.from, SiteRole::source, region, out);
    for (const config::TargetConfig& target : stream.to)
      check_site(world, config, stream, target.site, SiteRole::target, region, out);
  }
  if (!found && !stream_name.empty()) return config::unknown_stream(config, stream_name);
  return out;
}

Result<std::string> grants(os::World& world, const config::Config& config,
                           const std::string& site_name, api::GrantRole role) {
  const config::SiteConfig* site = config.site(site_name);
  if (site == nullptr) return config::unknown_site(config, site_name);
  const config::StreamConfig* stream = nullptr;
  for (const config::StreamConfig& candidate : config.streams)
    if (candidate.from == site_name) stream = &candidate;
  FARSHORE_TRY_ASSIGN(auto made, make_site(world, config, *site, stream));
  return made->grants(role == api::GrantRole::source ? SiteRole::source : SiteRole::target);
}

Result<std::string> check_text(const cli::CheckArguments& arguments) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, arguments.config));
  if (!arguments.region.empty() && config.region(arguments.region) == nullptr)
    return config::unknown_region(config, arguments.region);
  FARSHORE_TRY_ASSIGN(auto findings, check(*world, config, arguments.region, arguments.stream));
  for (const config::RegionConfig& region : config.regions) {
    if (!arguments.region.empty() && region.name != arguments.region) continue;
    auto files = identity::check_region_files(*world, region.tls, region.name);
    const bool elsewhere =
        arguments.region.empty() && !files.ok() && files.error().kind == ErrorKind::not_found;
    if (files.ok() || elsewhere) continue;
    findings.push_back({.level = api::FindingView::Level::error,
                        .code = "certificate",
                        .stream = "",
                        .object = "region " + region.name,
                        .message = files.error().what,
                        .remedy = ""});
  }
  return api::to_json(findings).dump();
}

Result<std::string> grants_text(const cli::GrantsArguments& arguments) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, arguments.config));
  if (!arguments.role.empty())
    return grants(*world, config, arguments.site,
                  arguments.role == "target" ? api::GrantRole::target : api::GrantRole::source);
  bool source = false, target = false;
  for (const config::StreamConfig& stream : config.streams) {
    source |= stream.from == arguments.site;
    for (const config::TargetConfig& to : stream.to) target |= to.site == arguments.site;
  }
  std::string text;
  if (source || !target) {
    FARSHORE_TRY_ASSIGN(text, grants(*world, config, arguments.site, api::GrantRole::source));
  }
  if (target) {
    FARSHORE_TRY_ASSIGN(std::string more,
                        grants(*world, config, arguments.site, api::GrantRole::target));
    text += (text.empty() ? "" : "\n") + more;
  }
  return text;
}

// The region whose data folder or key is on this machine, when there is just one.
Result<cli::ApiEndpoint> api_endpoint(const std::string& file, const std::string& region_name) {
  auto world = os::make_real_world(std::nullopt);
  FARSHORE_TRY_ASSIGN(const config::Config config, load(*world, file));
  const config::RegionConfig* chosen = config.region(region_name);
  if (!region_name.empty() && chosen == nullptr) return config::unknown_region(config, region_name);
  if (chosen == nullptr) {
    for (const config::RegionConfig& region : config.regions) {
      if (!std::filesystem::exists(region.data + "/agent.lock")) continue;
      if (chosen != nullptr && chosen->api != region.api)
        return permanent(ErrorKind::invalid,
                         "agents of {} and {} run here: say which with --region", chosen->name,
                         region.name);
      chosen = &region;
    }
  }
  if (chosen == nullptr && !config.regions.empty()) chosen = &config.regions.front();
  cli::ApiEndpoint endpoint;
  if (chosen == nullptr) return endpoint;
  const bool secure = !chosen->api_token_file.empty();
  endpoint.url = fmt::format("{}://{}", secure ? "https" : "http", chosen->api);
  if (secure) {
    endpoint.token_file = chosen->api_token_file;
    endpoint.ca = chosen->tls + "/ca.crt";
  }
  return endpoint;
}

}  // namespace farshore::daemon
