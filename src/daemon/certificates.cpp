#include "daemon/certificates.h"

#include <nlohmann/json.hpp>

#include <set>

#include "cli/command_line.h"
#include "config/config.h"
#include "identity/certificate.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

int refuse(cli::Output output, const Error& error) {
  output.err << "farshore: " << error.what << "\n";
  return error.kind == ErrorKind::invalid ? cli::kUsage : cli::kRefused;
}

Result<std::set<std::string>> folders_of(os::World& world, const std::string& file) {
  FARSHORE_TRY_ASSIGN(const config::Config config, config::load(world.files(), file));
  std::set<std::string> folders;
  for (const config::RegionConfig& region : config.regions) folders.insert(region.tls);
  return folders;
}

Result<std::vector<identity::CertificateFacts>> facts_of(os::World& world,
                                                         const cli::CertShowArguments& arguments) {
  std::vector<identity::CertificateFacts> all;
  for (const std::string& file : arguments.files) {
    FARSHORE_TRY_ASSIGN(auto facts, identity::read_certificate(world.files(), file));
    all.push_back(std::move(facts));
  }
  if (!arguments.files.empty()) return all;
  FARSHORE_TRY_ASSIGN(const auto folders, folders_of(world, arguments.config));
  for (const std::string& folder : folders) {
    FARSHORE_TRY_ASSIGN(auto facts, identity::read_certificates(world.files(), folder));
    all.insert(all.end(), facts.begin(), facts.end());
  }
  return all;
}

}  // namespace

int show_certificates(const cli::CertShowArguments& arguments, cli::Output output) {
  auto world = os::make_real_world(std::nullopt);
  auto all = facts_of(*world, arguments);
  if (!all.ok()) return refuse(output, all.error());
  const WallTime now = world->clock().wall();
  auto json = nlohmann::ordered_json::array();
  bool warned = false;
  for (const identity::CertificateFacts& facts : *all) {
    const int days = identity::days_left(facts, now);
    const std::string warning = identity::expiry_warning(facts, now);
    warned |= !warning.empty();
    if (arguments.json) {
      json.push_back({{"path", facts.path},
                      {"subject", facts.subject},
                      {"issuer", facts.issuer},
                      {"serial", facts.serial},
                      {"sha256", facts.fingerprint},
                      {"not_after", format_time(facts.not_after)},
                      {"days_left", days}});
      continue;
    }
    output.out << fmt::format("{:<24} {:>5} days left  (until {})  signed by {}\n  {}\n",
                              facts.subject, days, format_time(facts.not_after), facts.issuer,
                              facts.path);
    if (!warning.empty()) output.out << "  " << warning << "\n";
  }
  if (arguments.json) output.out << json.dump(2) << "\n";
  return warned ? cli::kRefused : cli::kDone;
}

int renew_certificates(const cli::CertRenewArguments& arguments, cli::Output output) {
  auto world = os::make_real_world(std::nullopt);
  auto folders = folders_of(*world, arguments.config);
  if (!folders.ok()) return refuse(output, folders.error());
  for (const std::string& folder : *folders) {
    if (!arguments.region.empty()) {
      auto renewed = identity::renew_region_certificate(*world, folder, arguments.region);
      if (!renewed.ok()) return refuse(output, renewed.error());
      output.out << fmt::format("{}/{}.crt was renewed\n", folder, arguments.region);
      continue;
    }
    auto renewed = identity::renew_all(*world, folder);
    if (!renewed.ok()) return refuse(output, renewed.error());
    for (const std::string& name : *renewed)
      output.out << fmt::format("{}/{}.crt was renewed\n", folder, name);
  }
  return cli::kDone;
}

}  // namespace farshore::daemon
