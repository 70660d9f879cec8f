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

struct Renewed {
  std::string certificate;  // its file
  bool made_key = false;    // of a region that is new, or had lost its key
};

Result<Renewed> renew_one(os::World& world, const cli::CertRenewArguments& arguments) {
  FARSHORE_TRY_ASSIGN(const config::Config config, config::load(world.files(), arguments.config));
  const config::RegionConfig* region = config.region(arguments.region);
  if (region == nullptr) return config::unknown_region(config, arguments.region);
  FARSHORE_TRY_ASSIGN(const bool made,
                      identity::renew_region_certificate(world, region->tls, region->name));
  return Renewed{fmt::format("{}/{}.crt", region->tls, region->name), made};
}

// What was renewed before an error is in `all` too.
Result<void> renew(os::World& world, const cli::CertRenewArguments& arguments,
                   std::vector<Renewed>& all) {
  if (!arguments.region.empty()) {
    FARSHORE_TRY_ASSIGN(Renewed one, renew_one(world, arguments));
    all.push_back(std::move(one));
    return {};
  }
  FARSHORE_TRY_ASSIGN(const auto folders, folders_of(world, arguments.config));
  for (const std::string& folder : folders) {
    FARSHORE_TRY_ASSIGN(const auto names, identity::renew_all(world, folder));
    for (const std::string& name : names) all.push_back({fmt::format("{}/{}.crt", folder, name)});
  }
  return {};
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
    const std::string warning = identity::expiry_warning(facts, now);
    warned |= !warning.empty();
    if (arguments.json) {
      json.push_back({{"path", facts.path},
                      {"subject", facts.subject},
                      {"issuer", facts.issuer},
                      {"serial", facts.serial},
                      {"sha256", facts.fingerprint},
                      {"not_after", format_time(facts.not_after)},
                      {"days_left", identity::days_left(facts, now)}});
      continue;
    }
    output.out << fmt::format("{:<24} {:>16}  (until {})  signed by {}\n  {}\n", facts.subject,
                              identity::days_text(facts, now), format_time(facts.not_after),
                              facts.issuer, facts.path);
    if (!warning.empty()) output.out << "  " << warning << "\n";
  }
  if (arguments.json) output.out << json.dump(2) << "\n";
  return warned ? cli::kRefused : cli::kDone;
}

int renew_certificates(const cli::CertRenewArguments& arguments, cli::Output output) {
  auto world = os::make_real_world(std::nullopt);
  std::vector<Renewed> all;
  const auto renewed = renew(*world, arguments, all);
  auto json = nlohmann::ordered_json::array();
  for (const Renewed& one : all) {
    json.push_back({{"certificate", one.certificate}, {"made_key", one.made_key}});
    if (arguments.json) continue;
    const std::string key = one.certificate.substr(0, one.certificate.size() - 3) + "key";
    output.out << one.certificate
               << (one.made_key
                       ? fmt::format(" and {} were made: that region's machine needs both, "
                                     "and ca.crt\n",
                                     key)
                       : " was renewed\n");
  }
  if (arguments.json) output.out << json.dump(2) << "\n";
  return renewed.ok() ? cli::kDone : refuse(output, renewed.error());
}

}  // namespace farshore::daemon
