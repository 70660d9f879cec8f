#include "cli/connect.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "cli/api_address.h"
#include "cli/command_line.h"
#include "cli/json_read.h"

namespace farshore::cli {
namespace {

constexpr std::array kConfigPlaces = {"farshore.yaml", "/etc/farshore/farshore.yaml"};

std::string given_or_environment(const std::string& given, const char* name) {
  if (!given.empty()) return given;
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// An agent that does not answer, or refuses, says so when it is asked for what is wanted.
Result<void> check_region(ApiClient& client, const std::string& meant) {
  const std::string own = text_at(client.get("/v1/status").json, "agent/region");
  if (own.empty() || own == meant) return {};
  return permanent(ErrorKind::invalid,
                   "the agent at {} is that of region '{}', not of '{}': run this on a machine of "
                   "'{}', or say with --api URL where its agent is",
                   client.url(), own, meant, meant);
}

// Of --api the configuration may know more: whose certificate is to be seen there, the authority
// and the token. What it does not know, the options say.
Result<ApiEndpoint> endpoint_of(const Invocation& call, const std::string& region,
                                const std::string& site) {
  const std::string url = given_or_environment(call.value("--api"), "FARSHORE_API");
  const std::string config = call.config();
  const bool has_file = !config.empty() && call.hooks.api_endpoint;
  if (url.empty())
    return has_file ? call.hooks.api_endpoint({.config = config, .region = region, .site = site})
                    : ApiEndpoint{};
  FARSHORE_TRY_ASSIGN(const ApiAddress address, parse_api_url(url));
  if (!address.https) return ApiEndpoint{.url = url};
  ApiEndpoint endpoint;
  if (has_file) {
    auto known = call.hooks.api_endpoint(
        {.config = config, .region = region, .given_address = address.text()});
    if (known.ok()) endpoint = *std::move(known);
  }
  endpoint.url = url;
  if (!region.empty()) endpoint.name = region;
  return endpoint;
}

}  // namespace

std::string Invocation::value(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() || found->second.empty() ? "" : found->second.front();
}

std::vector<std::string> Invocation::all(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() ? std::vector<std::string>{} : found->second;
}

std::string Invocation::config() const {
  std::string given = given_or_environment(value("--config"), "FARSHORE_CONFIG");
  if (!given.empty()) return given;
  for (const char* path : kConfigPlaces) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return "";
}

int Invocation::refuse(int code, const std::string& what) const {
  terminal.err << "farshore: " << plain(what) << "\n";
  return code;
}

int Invocation::refuse_without_config(const std::string& or_else) const {
  return refuse(
      kUsage,
      fmt::format("there is no configuration '{}' here, and none '{}': write one with "
                  "`farshore init`, or say where it is with --config FILE{}{}",
                  kConfigPlaces[0], kConfigPlaces[1], or_else.empty() ? "" : ", or ", or_else));
}

Result<std::unique_ptr<ApiClient>> connect(const Invocation& call, const MeantAgent& meant) {
  const std::string region = meant.region.empty() ? call.value("--region") : meant.region;
  FARSHORE_TRY_ASSIGN(ApiEndpoint endpoint, endpoint_of(call, region, meant.site));
  const std::string token = given_or_environment(call.value("--token-file"), "FARSHORE_TOKEN_FILE");
  if (!token.empty()) endpoint.token_file = token;
  if (const std::string ca = call.value("--ca"); !ca.empty()) endpoint.ca = ca;
  FARSHORE_TRY_ASSIGN(auto client, ApiClient::make(endpoint));
  if (!region.empty()) FARSHORE_TRY(check_region(*client, region));
  return client;
}

bool api_is_given(const Invocation& call) {
  return !given_or_environment(call.value("--api"), "FARSHORE_API").empty();
}

std::string same_agent(const Invocation& call) {
  std::string options;
  for (const char* name : {"--config", "--region", "--api"})
    if (const std::string value = call.value(name); !value.empty())
      options += fmt::format(" {} {}", name, value);
  return options;
}

int refuse(const Invocation& call, const Reply& reply) {
  return call.refuse(reply.exit_code(), reply.error.what);
}

void print_json(const Invocation& call, const Json& json) {
  call.terminal.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace farshore::cli
