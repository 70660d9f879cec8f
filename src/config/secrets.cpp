#include "config/secrets.h"

#include <algorithm>
#include <cstdlib>

#include "os/secret_file.h"

namespace farshore::config {
namespace {

Result<std::string> first_line_of(const std::string& path) {
  FARSHORE_TRY_ASSIGN(std::string text, os::read_secret_file(path));
  text.resize(std::min(text.find('\n'), text.size()));
  if (!text.empty() && text.back() == '\r') text.pop_back();
  if (text.empty())
    return permanent(ErrorKind::invalid, "secret file '{}': its first line is empty", path);
  return text;
}

Result<std::string> password_of(const SiteConfig& site) {
  if (!site.password_file.empty()) return first_line_of(site.password_file);
  if (site.password_env.empty()) return std::string();
  const char* value = std::getenv(site.password_env.c_str());
  if (value == nullptr || *value == '\0')
    return permanent(ErrorKind::not_found, "environment variable {} is not set for this process",
                     site.password_env);
  return std::string(value);
}

Result<std::string> api_token_of(const RegionConfig& region) {
  if (region.api_token_file.empty()) return std::string();
  return first_line_of(region.api_token_file);
}

}  // namespace

std::vector<Finding> check_secrets(const Config& config, std::string_view region) {
  std::vector<Finding> findings;
  const auto add = [&](const std::string& path, const Error& error) {
    findings.push_back({config.mark(path), fmt::format("{}: {}", path, error.what)});
  };
  if (const RegionConfig* own = config.region(region)) {
    if (const auto token = api_token_of(*own); !token)
      add("regions." + own->name + ".api_token_file", token.error());
  }
  for (const SiteConfig& site : config.sites) {
    if (site.region != region) continue;
    const char* key = site.password_file.empty() ? "password_env" : "password_file";
    if (const auto password = password_of(site); !password)
      add(fmt::format("sites.{}.{}", site.name, key), password.error());
  }
  return findings;
}

}  // namespace farshore::config
