// Agent: what the API asks of the agent it runs in. The daemon implements it, FakeAgent
// (fake_agent.h) stands in for it in tests; both keep agent_contract.h. Outlives the Server. Every
// verb is called from several threads at once and must answer within seconds, but check() and
// grants(), which ask databases and may take up to a minute.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/views.h"
#include "base/deadline.h"
#include "base/port.h"
#include "base/result.h"
#include "events/event_log.h"

namespace farshore::api {

enum class Verb : std::uint8_t { pause, resume, resnapshot, skip, remove };

const char* name_of(Verb verb);
Result<Verb> parse_verb(std::string_view text);  // invalid: names the nearest word

struct StreamAction {
  Verb verb = Verb::pause;
  std::string stream;
  std::string to;              // target site; empty: all targets of the stream
  std::optional<WallTime> at;  // pause: goes on applying up to commits of this time, then pauses
  std::string table;           // resnapshot: only this table; empty: all
  std::string place;  // skip: the transaction to pass over, "epoch:sequence" as the failed leg's
                      // reason says it
  std::string by;     // who asks, as the client claims, and from where; for the event
};

enum class GrantRole : std::uint8_t { source, target };

enum class Outcome : std::uint8_t {
  done,    // kept over a restart and beginning to take effect; an event says who asked
  already  // there was nothing left to do
};

struct Agent : Port {
  virtual AgentView view() = 0;
  // not_found: stream, site or table; conflict: the state forbids it; invalid: an argument.
  virtual Result<Outcome> act(const StreamAction& action) = 0;
  // Of one stream, or of all when empty. not_found.
  virtual Result<std::vector<FindingView>> check(const std::string& stream) = 0;
  // SQL for least privilege on that site's server. not_found, unavailable.
  virtual Result<std::string> grants(const std::string& site, GrantRole role) = 0;
  // As events::EventLog::read.
  virtual Result<std::vector<events::StoredEvent>> events(const events::EventQuery& query,
                                                          Deadline deadline) = 0;
};

}  // namespace farshore::api
