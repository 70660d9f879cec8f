#include "config/secrets.h"

#include <cstdlib>

namespace farshore::config {
namespace {

std::optional<os::SecretFault> file_fault(const std::string& path, const char* secret) {
  if (path.empty()) return std::nullopt;
  auto fault = os::secret_line_fault(path);
  if (fault && fault->remedy.empty())
    fault->remedy = fmt::format(
        "install -m 0600 /dev/stdin '{}'  -- then type the {}, Enter, Ctrl-D", path, secret);
  return fault;
}

std::optional<os::SecretFault> variable_fault(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const char* value = std::getenv(name.c_str());
  if (value != nullptr && *value != '\0') return std::nullopt;
  return os::SecretFault{
      ErrorKind::not_found,
      fmt::format("environment variable {} is not set for this process", name),
      fmt::format("set {} where the agent is started, e.g. with EnvironmentFile= of its service",
                  name)};
}

}  // namespace

const char* password_key(const SiteConfig& site) {
  return site.password_file.empty() ? "password_env" : "password_file";
}

std::optional<os::SecretFault> password_fault(const SiteConfig& site) {
  if (site.password_file.empty()) return variable_fault(site.password_env);
  return file_fault(site.password_file, "password");
}

std::optional<os::SecretFault> api_token_fault(const RegionConfig& region) {
  return file_fault(region.api_token_file, "token");
}

std::vector<Finding> check_secrets(const Config& config, std::string_view region) {
  std::vector<Finding> findings;
  const auto add = [&](const std::string& key, const std::optional<os::SecretFault>& fault) {
    if (!fault) return;
    findings.push_back(
        {config.mark(key), fmt::format("{}: {}: {}", key, fault->what, fault->remedy)});
  };
  if (const RegionConfig* own = config.region(region))
    add(fmt::format("regions.{}.api_token_file", own->name), api_token_fault(*own));
  for (const SiteConfig& site : config.sites)
    if (site.region == region)
      add(fmt::format("sites.{}.{}", site.name, password_key(site)), password_fault(site));
  return findings;
}

}  // namespace farshore::config
