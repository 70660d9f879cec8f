// ApiClient: asks an agent's HTTP API. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "cli/hooks.h"

namespace farshore::cli {

using Json = nlohmann::ordered_json;

// What came of a question: an answer, a refusal of the agent, or no agent at all.
struct Reply {
  enum class Outcome { answered, refused, unreachable } outcome = Outcome::answered;
  Json json;    // answered
  Error error;  // refused, unreachable

  bool answered() const { return outcome == Outcome::answered; }
  int exit_code() const;  // kDone, kRefused (kUsage for an invalid argument), kUnreachable
};

// How long an answer may take. An agent that asks databases or another region is waited for longer,
// once it has said that it is alive.
enum class Patience { short_time, for_others };

class ApiClient {
 public:
  using Query = std::multimap<std::string, std::string>;

  static Result<std::unique_ptr<ApiClient>> make(
      const ApiEndpoint& endpoint);  // reads token and CA
  virtual ~ApiClient() = default;

  // `path` holds names as escaped() gives them.
  virtual Reply get(const std::string& path, const Query& query = {},
                    Patience patience = Patience::short_time) = 0;
  virtual Reply post(const std::string& path, const Json& body) = 0;
  // Gives each line of an answer that does not end, until take answers false or the connection
  // ends.
  virtual Reply follow(const std::string& path, const Query& query,
                       std::function<bool(const std::string&)> take) = 0;
  virtual const std::string& url() const = 0;
};

std::string escaped(const std::string& name);  // for use in a path

}  // namespace farshore::cli
