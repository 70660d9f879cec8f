// Hooks: what the command line needs of parts it may not name (config, journal, engines,
// certificates). main() fills them. A command whose hook is empty does not exist: not in --help,
// completion or the man page.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace farshore::cli {

struct Output {
  std::ostream& out;
  std::ostream& err;
};

// Where an agent's API is, as the configuration says it.
struct ApiEndpoint {
  std::string url = "http://127.0.0.1:7433";
  std::string token_file;  // empty: no token
  std::string ca;          // PEM file, for https
  // What an https certificate must bear: the region, which is all that an agent's one names. Empty:
  // the host of url.
  std::string name;
  Duration answers_within = 10s;  // what an agent knows by itself
};

// `config` is never empty, but where a comment says otherwise. A file that was named by --config or
// FARSHORE_CONFIG may not exist: the hook says so.
struct RunArguments {
  std::string config, region;
  std::string log_format;  // text, json
  std::string log_level;   // info, warning, error
};

struct InitArguments {
  std::string folder;
  std::string name;                  // of the configuration; empty: the folder's name
  std::vector<std::string> regions;  // empty: two example regions
  bool json = false;
};

struct CertShowArguments {
  std::string config;              // may be empty
  std::vector<std::string> files;  // empty: all that the configuration names
  bool json = false;
};

struct CertRenewArguments {
  std::string config, region;  // region empty: all whose key is here
  bool json = false;
};

struct InspectArguments {
  std::string file;
  bool records = false;  // a line for each record, never its payload
  bool json = false;
};

struct CheckArguments {
  std::string config, region, stream;  // stream empty: all
};

struct GrantsArguments {
  std::string config, site;
  std::string role;  // source, target
};

// Which agent a command means.
struct EndpointArguments {
  std::string config;
  std::string region;  // as --region names it; empty: that of the site,
  std::string site;    // or the one of which this machine runs the agent
  // host:port of an https URL that was given beside the file: not that of another region than the
  // one named or, when none is, the only one whose API is there. Empty: none was given.
  std::string given_address;
};

// Those that return int answer the exit code and write what there is to say themselves.
struct Hooks {
  std::string version;  // "0.1.0"
  std::string build;    // compiler, libraries: what `version` shows beside it; may be empty

  // invalid: the configuration is wrong (all findings in `what`), or leaves more than one choice.
  // not_found: it has no region whose API is at the address that was given.
  std::function<Result<ApiEndpoint>(const EndpointArguments&)> api_endpoint;
  // The regions whose agents have their data on this machine, each with an API of its own: more
  // than one leaves a choice.
  std::function<Result<std::vector<std::string>>(const std::string& config)> regions_here;
  std::function<Result<std::string>(const CheckArguments&)>
      check;  // the JSON that GET /v1/check would answer
  std::function<Result<std::string>(const GrantsArguments&)> grants;  // SQL
  std::function<int(const RunArguments&, Output)> run;
  std::function<int(const InitArguments&, Output)> init;
  std::function<int(const CertShowArguments&, Output)> cert_show;
  std::function<int(const CertRenewArguments&, Output)> cert_renew;
  std::function<int(const InspectArguments&, Output)> journal_inspect;
};

}  // namespace farshore::cli
