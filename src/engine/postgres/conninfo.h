// What a connection string of libpq says, as far as connecting needs it. Pure. Internal to
// connection.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace farshore::postgres {

// One of the hosts of a conninfo, which may list several. Empty: libpq's default.
struct Host {
  std::string name, address, port;
};

struct Conninfo {
  std::string server;                                        // "app on db.internal:5432"
  std::string options;                                       // of the session
  std::vector<Host> hosts;                                   // never empty
  std::vector<std::pair<std::string, std::string>> further;  // all else that it gives a value
};

// invalid: without any of its words, which may be a secret.
Result<Conninfo> read_conninfo(const std::string& conninfo);

// As the value of host, hostaddr or port: "a,b".
std::string list_of(const std::vector<Host>& hosts, std::string Host::* part);

// `gone`: as PQhost and PQport have it. True: it was there, and others are left.
bool take_out(std::vector<Host>& hosts, const std::pair<std::string, std::string>& gone);

}  // namespace farshore::postgres
