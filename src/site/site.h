// Site: what Farshore asks of one database besides its data: is it fit for its part, and what must
// be granted.
#pragma once

#include <string>
#include <vector>

#include "base/port.h"
#include "base/result.h"
#include "base/units.h"

namespace farshore {

enum class FindingLevel : std::uint8_t {
  note,
  warning,
  error
};  // error: the stream stops or loses data

// One thing that would stop a stream or lose data, with a remedy that can be pasted.
struct Finding {
  FindingLevel level = FindingLevel::error;
  std::string code;     // stable: "wal_level", "no_replica_identity"
  std::string object;   // "site orders-us, table public.orders"
  std::string message;  // what is wrong, with the value
  std::string remedy;   // SQL, a command or a configuration line; empty: none needed
};

enum class SiteRole : std::uint8_t { source, target };

struct SiteFacts {
  std::string server_version;  // "18.1"
  std::string identity;        // system identifier and database
  Duration clock_offset{};     // server's clock minus ours
};

struct Site : Port {
  virtual Result<SiteFacts> probe() = 0;
  // All findings at once; an unreachable server is one finding, not an error.
  virtual std::vector<Finding> check(SiteRole role) = 0;
  virtual Result<std::string> grants(
      SiteRole role) = 0;  // SQL for least privilege on this server's version
  // At a source: the tables that the stream takes as they are now, in the engine's own text, for
  // compare() at its targets. Also before the stream has begun.
  virtual Result<std::string> describe() = 0;
  // At a target: where its tables differ from such a description. Errors: the server cannot be
  // reached or asked; corrupt: not a description of this engine.
  virtual Result<std::vector<Finding>> compare(const std::string& description) = 0;
  virtual void interrupt() = 0;  // any thread: what waits for the database, also later, ends
};

}  // namespace farshore
