// Routes: from a request to an answer, without a socket. What may be asked and how is in
// docs/openapi.yaml.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/agent.h"

namespace farshore::api {

struct Request {
  std::string method, path;
  std::map<std::string, std::string> query;
  std::string body, content_type;
  std::string host;           // the Host header
  std::string authorization;  // the Authorization header
  std::string by;             // who asks: as the client says, and its address
};

struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

Answer refusal(const Error& error);  // with the status that fits the error's kind

Answer answer(Agent& agent, const Request& request);

// GET /v1/events; `follow` is the server's part, because that answer never ends.
// not_found: the agent has no such stream, and no events of one.
Result<events::EventQuery> event_query_of(Agent& agent,
                                          const std::map<std::string, std::string>& query);
bool wants_follow(const Request& request);

// The routes as "METHOD /path", for the test that compares them with docs/openapi.yaml.
std::vector<std::string> route_names();

}  // namespace farshore::api
