// Server: the agent's HTTP API under /v1, /healthz, /readyz and /metrics. Described in
// docs/openapi.yaml.
//
// Lifetime: serves from serve() to its destructor, which waits for answers that are being written;
// from bind() on it has the address, and clients wait.
// Threads: its own, at most kThreads; each connection carries one request. Errors of bind: invalid
// (options, certificate, token), denied or unavailable (address in use).
#pragma once

#include <memory>
#include <string>

#include "api/agent.h"
#include "api/options.h"
#include "base/result.h"
#include "os/world.h"

namespace farshore::api {

constexpr int kThreads = 16;
constexpr int kFollowersMax = 8;         // connections that follow events; each holds a thread
constexpr std::size_t kWaitingMax = 64;  // accepted, not yet served
constexpr std::size_t kBodyMax = 64 * 1024;

class Server {
 public:
  static Result<std::unique_ptr<Server>> bind(os::World& world, const Options& options,
                                              Agent& agent);
  virtual void serve() = 0;  // once
  static Result<std::unique_ptr<Server>> start(os::World& world, const Options& options,
                                               Agent& agent);  // both
  virtual ~Server() = default;
  virtual std::string address() const = 0;  // "127.0.0.1:7433", with the real port
};

}  // namespace farshore::api
