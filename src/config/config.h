// Config: farshore.yaml as structs, defaults filled in. The file is the same in every region; see
// docs/operating/configuration.md. Only the daemon names this module: it maps these structs to the
// options of the parts.
//
// Values, no lifetime rules; parse() is pure, load() reads one file. A Config comes only from a
// file without errors: parse() gives all errors at once, each with line, column and the nearest
// valid word.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "config/finding.h"
#include "journal/options.h"
#include "link/options.h"
#include "os/file.h"

namespace farshore::config {

constexpr std::uint64_t kFileBytesMax = 1_MiB;
constexpr std::size_t kRegionsMax = 16;
constexpr std::size_t kSitesMax = 1000;
constexpr std::size_t kStreamsMax = 1000;
constexpr std::size_t kTableRulesMax = 1000;  // of one stream

struct RegionConfig {
  std::string name;
  std::string link;    // "host:port" by which the other regions reach this one's agent
  std::string listen;  // what the agent binds: "host:port", or ":port" for all addresses
  std::string api = "127.0.0.1:7433";
  std::string api_token_file;  // needed when api is not a loopback address
  std::string data;            // folder of the journals and the agent's state
  std::string tls = "tls";     // folder of ca.crt, <region>.crt, <region>.key
};

struct SiteConfig {
  std::string name;
  std::string region;
  std::string engine;  // "postgres"
  std::string dsn;     // libpq connection string; holds no password
  std::string
      password_file;  // at most one of the two; neither: libpq's own ways (~/.pgpass, certificates)
  std::string password_env;  // name of an environment variable
  Duration heartbeat = 1s;   // a source's heartbeat commit, shared by its streams
};

enum class DurabilityClass : std::uint8_t { async, near, far };
enum class ReplicaIdentity : std::uint8_t {
  key,
  full
};  // full: tables without a key are taken too, with whole old rows

// The first rule whose pattern matches "schema.table" decides; what none matches is not replicated.
struct TableRule {
  std::string match;  // '*' any run of characters, '?' any one
  bool exclude = false;
  DurabilityClass durability = DurabilityClass::async;
  ReplicaIdentity identity = ReplicaIdentity::key;
  friend bool operator==(const TableRule&, const TableRule&) = default;
};

enum class Existing : std::uint8_t {
  refuse,
  keep,
  replace
};  // what the initial copy does with a table that holds rows

struct TargetConfig {
  std::string site;
  bool required =
      true;  // its far journal must have a change before the source may forget it; never overtaken
  Duration apply_delay{};
  Existing existing = Existing::refuse;
  friend bool operator==(const TargetConfig&, const TargetConfig&) = default;
};

enum class ProtectionMode : std::uint8_t {
  available,
  protect
};  // available: degrades; protect: commits wait

struct Protection {
  ProtectionMode mode = ProtectionMode::available;
  Duration degrade_after = 10s;
};

struct SourceLimits {
  std::uint64_t retain_max = 1_GiB;  // log held for us beyond near-durable
  std::uint64_t wal_max = 16_GiB;    // then our slot is dropped
};

struct ServiceLevel {
  Duration rpo{};  // zero: the stream has no SLO
  double objective_percent = 99.9;
  Duration window = 30 * 24h;
};

struct StreamConfig {
  std::string name;
  Uuid id;           // nil: one is made when the stream first starts, and kept
  std::string from;  // a site
  std::vector<TargetConfig> to;
  std::vector<TableRule> tables;
  Existing existing =
      Existing::refuse;  // what a target takes that says nothing of its own; so is apply_delay
  Duration apply_delay{};
  int copy_tables = 4;  // tables copied at once
  Protection protection;
  journal::Options journal;
  SourceLimits source;
  ServiceLevel slo;
};

struct Config {
  std::string file;  // as it was named to parse()
  std::string name;  // of the whole: both ends of a link must agree
  std::vector<RegionConfig> regions;
  std::vector<SiteConfig> sites;
  std::vector<StreamConfig> streams;
  link::Options link;             // only what the file's `link` section sets: limits and intervals
  std::vector<Finding> warnings;  // doubtful, but it works
  std::map<std::string, Mark> marks;  // where "streams.orders.to[0]" stands in the file

  // nullptr when there is none of that name.
  const RegionConfig* region(std::string_view name) const;
  const SiteConfig* site(std::string_view name) const;
  const StreamConfig* stream(std::string_view name) const;
  // Of the path or of its nearest parent that stands in the file.
  Mark mark(std::string path) const;
};

// Who names one that is not there hears those that are.
Error unknown_region(const Config& config, std::string_view name);
Error unknown_site(const Config& config, std::string_view name);
Error unknown_stream(const Config& config, std::string_view name);

struct ParseOutcome {
  Config config;                // to be used only when there are no errors
  std::vector<Finding> errors;  // in the order of the file
  bool ok() const { return errors.empty(); }
};

// `file` is for messages; relative paths in the text are resolved against its folder.
ParseOutcome parse(std::string_view text, const std::string& file);

// "farshore.yaml has 2 errors:" and each as `file:line:column: message` on a line of its own.
std::string error_text(const ParseOutcome& outcome);

// invalid: there is none, or error_text() of what is wrong in it; denied, io.
Result<Config> load(os::Files& files, const std::string& file);

}  // namespace farshore::config
