#include "engine/postgres/conninfo.h"

#include <libpq-fe.h>

#include <algorithm>
#include <string_view>

namespace farshore::postgres {
namespace {

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == ',')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

Result<std::vector<Host>> hosts_of(const std::string& names, const std::string& addresses,
                                   const std::string& ports) {
  const auto name = split_list(names), address = split_list(addresses), port = split_list(ports);
  std::vector<Host> hosts(std::max(name.size(), address.size()));
  if (!names.empty() && !addresses.empty() && name.size() != address.size())
    return permanent(ErrorKind::invalid,
                     "the connection string (dsn) has {} hosts and {} addresses (hostaddr): one "
                     "address for each host",
                     name.size(), address.size());
  if (port.size() > 1 && port.size() != hosts.size())
    return permanent(
        ErrorKind::invalid,
        "the connection string (dsn) has {} ports and {} hosts: one port for each host, "
        "or one for all",
        port.size(), hosts.size());
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (i < name.size()) hosts[i].name = name[i];
    if (i < address.size()) hosts[i].address = address[i];
    if (i < port.size() || port.size() == 1) hosts[i].port = port[port.size() == 1 ? 0 : i];
  }
  return hosts;
}

}  // namespace

Result<Conninfo> read_conninfo(const std::string& conninfo) {
  char* text = nullptr;
  PQconninfoOption* options = PQconninfoParse(conninfo.c_str(), &text);
  if (options == nullptr) {
    PQfreemem(text);  // repeats parts of the string, maybe a secret
    return permanent(ErrorKind::invalid,
                     "the connection string (dsn) is not a valid libpq one; check its quotes and "
                     "keywords");
  }
  Conninfo out;
  std::string host, address, port, database, user;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "dbname") database = option->val;
    if (keyword == "user") user = option->val;
    if (keyword == "host")
      host = option->val;
    else if (keyword == "hostaddr")
      address = option->val;
    else if (keyword == "port")
      port = option->val;
    else if (keyword == "options")
      out.options = option->val;
    else
      out.further.emplace_back(option->keyword, option->val);
  }
  PQconninfoFree(options);
  FARSHORE_TRY_ASSIGN(out.hosts, hosts_of(host, address, port));
  if (host.empty()) host = address.empty() ? "local socket" : address;
  if (port.empty()) port = "5432";
  if (database.empty()) database = user.empty() ? "default database" : user;
  out.server = fmt::format("{} on {}:{}", database, host, port);
  return out;
}

std::string list_of(const std::vector<Host>& hosts, std::string Host::* part) {
  std::string out;
  for (const Host& host : hosts) out += (&host == hosts.data() ? "" : ",") + host.*part;
  return out;
}

bool take_out(std::vector<Host>& hosts, const std::pair<std::string, std::string>& gone) {
  const auto found = std::ranges::find_if(hosts, [&](const Host& host) {
    return (host.name.empty() ? host.address : host.name) == gone.first &&
           (host.port.empty() || host.port == gone.second);
  });
  if (found == hosts.end() || hosts.size() == 1) return false;
  hosts.erase(found);
  return true;
}

}  // namespace farshore::postgres
