#include "config/combinations.h"

#include <algorithm>
#include <map>
#include <set>

#include "config/connection_string.h"
#include "config/table_pattern.h"
#include "config/value.h"

namespace farshore::config {
namespace {

template <class Named>
std::vector<std::string_view> names_of(const std::vector<Named>& all) {
  std::vector<std::string_view> names;
  names.reserve(all.size());
  for (const Named& one : all) names.push_back(one.name);
  return names;
}

// A site's server and database as its dsn names them; empty when the dsn cannot be read (a finding
// already).
struct Whereabouts {
  std::string server;
  std::string database;
  bool known_everywhere = false;  // its host's name means the same in every region
};

Whereabouts whereabouts_of(const ConnectionString& dsn) {
  const std::string host = dsn.get("host", dsn.get("hostaddr"));
  const bool dotted = host.find('.') != std::string::npos && !host.starts_with('/');
  return {dsn.server(), dsn.database(), dotted && !is_loopback(host)};
}

class Combinations {
 public:
  Combinations(Config& config, std::vector<Finding>& errors) : config_(config), errors_(errors) {
    for (const SiteConfig& site : config.sites)
      if (const auto dsn = parse_connection_string(site.dsn))
        whereabouts_[site.name] = whereabouts_of(*dsn);
  }

  void check() {
    check_link();
    check_regions();
    for (const SiteConfig& site : config_.sites) check_site(site);
    for (const StreamConfig& stream : config_.streams) check_stream(stream);
    check_pairs_of_streams();
    warn_of_idle_sites();
  }

 private:
  void error(const std::string& path, std::string message) {
    errors_.push_back({config_.mark(path), fmt::format("{}: {}", path, message)});
  }
  void warn(const std::string& path, std::string message) {
    config_.warnings.push_back({config_.mark(path), fmt::format("{}: {}", path, message)});
  }

  // The place of the site in the map, with engine and dsn; nullptr and an error when there is none
  // of that name.
  // `never`: a site that cannot be meant here.
  const SiteConfig* resolve_site(const std::string& path, const std::string& name,
                                 const std::string& never = "") {
    if (name.empty()) return nullptr;
    if (const SiteConfig* site = config_.site(name)) return site;
    auto candidates = names_of(config_.sites);
    std::erase(candidates, never);
    error(path, fmt::format("there is no site '{}'{}", name, suggestion(name, candidates)));
    return nullptr;
  }

  void check_link() {
    const link::Options& link = config_.link;
    if (link.dead_after < 3 * link.keepalive_every)
      error(
          "link.dead_after",
          fmt::format("{} is less than three keepalives of {}: one late packet would end the link",
                      format_duration(link.dead_after), format_duration(link.keepalive_every)));
  }

  void check_regions();
  void check_region_pair(const RegionConfig& a, const RegionConfig& b);
  void check_site(const SiteConfig& site);
  void warn_of_plain_connection(const SiteConfig& site);
  void check_stream(const StreamConfig& stream);
  void check_targets(const StreamConfig& stream, const std::string& path, const SiteConfig* from);
  void check_target(const std::string& path, const SiteConfig& from, const SiteConfig& to);
  void check_rules(const StreamConfig& stream, const std::string& path);
  void check_limits(const StreamConfig& stream, const std::string& path);
  void check_pairs_of_streams();
  void check_pair(const StreamConfig& a, const StreamConfig& b);
  void warn_of_idle_sites();

  bool comparable(const std::string& a, const std::string& b) const;
  bool same_database(const std::string& a, const std::string& b) const;
  bool same_server(const std::string& a, const std::string& b) const;

  Config& config_;
  std::vector<Finding>& errors_;
  std::map<std::string, Whereabouts> whereabouts_;  // by site
};

void Combinations::check_regions() {
  for (std::size_t i = 0; i < config_.regions.size(); ++i) {
    const RegionConfig& region = config_.regions[i];
    const std::string path = "regions." + region.name;
    if (const auto api = parse_address(region.api);
        api && !is_loopback(api->host) && region.api_token_file.empty())
      error(path + ".api",
            fmt::format(
                "{} can be reached from other machines: set api_token_file, or use 127.0.0.1:{}",
                region.api, api->port));
    for (std::size_t j = 0; j < i; ++j) check_region_pair(config_.regions[j], region);
  }
}

// Regions of one host (to try things out) must not share what an agent holds alone.
void Combinations::check_region_pair(const RegionConfig& a, const RegionConfig& b) {
  const auto link_a = parse_address(a.link);
  const auto link_b = parse_address(b.link);
  if (!link_a || !link_b) return;
  const std::string path = "regions." + b.name;
  if (a.link == b.link) {
    error(path + ".link", fmt::format("{} is the address of region '{}' too", b.link, a.name));
  } else if (link_a->host == link_b->host) {
    if (a.api == b.api)
      error(path + ".api", fmt::format("{} is taken by region '{}' on the same host {}", b.api,
                                       a.name, link_b->host));
    if (a.data == b.data && !b.data.empty())
      error(path + ".data", fmt::format("{} is the folder of region '{}' on the same host {}",
                                        b.data, a.name, link_b->host));
  }
}

void Combinations::check_site(const SiteConfig& site) {
  const std::string path = "sites." + site.name;
  if (!site.region.empty() && config_.region(site.region) == nullptr)
    error(path + ".region", fmt::format("there is no region '{}'{}", site.region,
                                        suggestion(site.region, names_of(config_.regions))));
  if (!site.password_file.empty() && !site.password_env.empty())
    error(path + ".password_env", "password_file is set too: keep one of them");
  warn_of_plain_connection(site);
}

// Of a connection to one of several hosts, apart by commas, any may be taken.
bool stays_on_machine(std::string_view hosts) {
  while (!hosts.empty()) {
    const std::string host(hosts.substr(0, hosts.find(',')));
    if (!host.empty() && host.front() != '/' && host.front() != '@' && !is_loopback(host))
      return false;
    hosts.remove_prefix(std::min(host.size() + 1, hosts.size()));
  }
  return true;
}

void Combinations::warn_of_plain_connection(const SiteConfig& site) {
  const auto dsn = parse_connection_string(site.dsn);
  if (!dsn) return;
  const std::string host = dsn->get("host", dsn->get("hostaddr"));
  const std::string mode = dsn->get("sslmode");
  if (stays_on_machine(host) || !dsn->get("service").empty()) return;
  if (mode.empty() || mode == "disable" || mode == "allow" || mode == "prefer")
    warn("sites." + site.name + ".dsn",
         fmt::format("sslmode{} lets the connection to {} go in plain: write sslmode=verify-full",
                     mode.empty() ? " is not set, which" : "=" + mode, host));
}

void Combinations::check_stream(const StreamConfig& stream) {
  const std::string path = "streams." + stream.name;
  check_targets(stream, path, resolve_site(path + ".from", stream.from));
  check_rules(stream, path);
  check_limits(stream, path);
}

void Combinations::check_targets(const StreamConfig& stream, const std::string& path,
                                 const SiteConfig* from) {
  std::set<std::string> seen;
  std::map<std::string, std::string> site_of_region;
  for (std::size_t i = 0; i < stream.to.size(); ++i) {
    const std::string target_path = fmt::format("{}.to[{}]", path, i);
    const std::string& name = stream.to[i].site;
    const SiteConfig* to = resolve_site(target_path, name, stream.from);
    if (to == nullptr) continue;
    if (!seen.insert(name).second) {
      error(target_path, fmt::format("{} stands in the list twice", name));
      continue;
    }
    if (name == stream.from) {
      error(target_path, fmt::format("{} is the source itself", name));
      continue;
    }
    if (from != nullptr) check_target(target_path, *from, *to);
    for (std::size_t before = 0; before < i; ++before)
      if (const std::string& other = stream.to[before].site; same_database(other, name))
        error(target_path, fmt::format("{} is the same database as the target {}: {}", name, other,
                                       whereabouts_[name].database));
    if (const auto [other, fresh] = site_of_region.emplace(to->region, name);
        !fresh && !to->region.empty())
      error(target_path,
            fmt::format("{} is in region {}, as {} is: a stream has one target in a region", name,
                        to->region, other->second));
  }
}

void Combinations::check_target(const std::string& path, const SiteConfig& from,
                                const SiteConfig& to) {
  if (to.region == from.region && !to.region.empty()) {
    error(path,
          fmt::format("{} is in region {}, where the source {} is: a target is in another region",
                      to.name, to.region, from.name));
  } else if (same_database(from.name, to.name)) {
    error(path, fmt::format("{} is the same database as the source {}: {}", to.name, from.name,
                            whereabouts_[to.name].database));
  }
  if (to.engine != from.engine && !to.engine.empty() && !from.engine.empty())
    error(path, fmt::format("{} is {}, but the source {} is {}", to.name, to.engine, from.name,
                            from.engine));
}

void Combinations::check_rules(const StreamConfig& stream, const std::string& path) {
  bool any_taken = stream.tables.empty();
  bool any_far = false;
  for (std::size_t i = 0; i < stream.tables.size(); ++i) {
    const TableRule& rule = stream.tables[i];
    const std::string rule_path = fmt::format("{}.tables[{}]", path, i);
    if (rule.exclude && rule.durability != DurabilityClass::async)
      error(rule_path, "a table that is excluded has no class");
    if (rule.exclude && rule.identity != ReplicaIdentity::key)
      error(rule_path, "a table that is excluded has no identity");
    any_taken |= !rule.exclude;
    any_far |= rule.durability == DurabilityClass::far;
    for (std::size_t j = 0; j < i && !rule.match.empty(); ++j) {
      if (!pattern_covers(stream.tables[j].match, rule.match)) continue;
      warn(rule_path, fmt::format("'{}' is never reached: '{}' before it matches the same tables",
                                  rule.match, stream.tables[j].match));
      break;
    }
  }
  if (!any_taken) error(path + ".tables", "all rules exclude: nothing would be replicated");
  const bool any_required =
      std::any_of(stream.to.begin(), stream.to.end(), [](auto& t) { return t.required; });
  if (any_far && !any_required && !stream.to.empty())
    error(path + ".to", "class far waits for the required targets, and none is required");
}

void Combinations::check_limits(const StreamConfig& stream, const std::string& path) {
  const journal::Options& journal = stream.journal;
  if (journal.bytes_max < 4 * journal.segment_bytes)
    error(path + ".journal.max",
          fmt::format("{} holds less than four segments of {}", format_bytes(journal.bytes_max),
                      format_bytes(journal.segment_bytes)));
  const bool all_required =
      std::all_of(stream.to.begin(), stream.to.end(), [](auto& t) { return t.required; });
  if (journal.when_full == journal::WhenFull::drop && all_required && !stream.to.empty())
    error(path + ".journal.when_full",
          "drop overtakes a target that is not required, and all are: give one `required: false`, "
          "or use hold");
  if (stream.source.wal_max <= stream.source.retain_max)
    error(path + ".source.wal_max",
          fmt::format("{} is not above retain_max of {}: the slot would be dropped in normal work",
                      format_bytes(stream.source.wal_max), format_bytes(stream.source.retain_max)));
  if (stream.slo.rpo == Duration::zero() && config_.marks.contains(path + ".slo") &&
      !config_.marks.contains(path + ".slo.rpo"))
    error(path + ".slo", "'rpo' is missing: without it there is no SLO");
  if (stream.protection.mode == ProtectionMode::protect &&
      config_.marks.contains(path + ".protection.degrade_after"))
    error(path + ".protection.degrade_after",
          "mode protect never degrades: leave it out, or use mode available");
}

bool waits(const StreamConfig& stream) {
  return std::any_of(stream.tables.begin(), stream.tables.end(), [](const TableRule& rule) {
    return rule.durability != DurabilityClass::async;
  });
}

// A table that both streams take, as the patterns tell; the text of the two patterns, or empty.
// Rules before them that exclude (or take otherwise) all of either pattern are heeded, finer
// overlaps are not.
std::string common_tables(const StreamConfig& a, const StreamConfig& b) {
  const auto taken_by = [](const StreamConfig& stream, std::size_t rule, std::string_view pattern) {
    for (std::size_t i = 0; i < rule; ++i)
      if (pattern_covers(stream.tables[i].match, pattern)) return false;
    return true;
  };
  for (std::size_t i = 0; i < a.tables.size(); ++i) {
    for (std::size_t j = 0; j < b.tables.size(); ++j) {
      const TableRule& in_a = a.tables[i];
      const TableRule& in_b = b.tables[j];
      if (in_a.exclude || in_b.exclude || !patterns_meet(in_a.match, in_b.match)) continue;
      if (taken_by(a, i, in_b.match) && taken_by(b, j, in_a.match))
        return fmt::format("'{}' and '{}'", in_a.match, in_b.match);
    }
  }
  return "";
}

void Combinations::check_pairs_of_streams() {
  for (std::size_t i = 0; i < config_.streams.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) check_pair(config_.streams[j], config_.streams[i]);
}

void Combinations::check_pair(const StreamConfig& a, const StreamConfig& b) {
  const std::string path = "streams." + b.name;
  if (!a.id.is_nil() && a.id == b.id)
    error(path + ".id", fmt::format("{} is the id of stream '{}' too", b.id.text(), a.name));
  if (waits(a) && waits(b) && same_server(a.from, b.from))
    error(path + ".tables",
          fmt::format("stream '{}' of the same server has tables of class near or far already: "
                      "synchronous_standby_names is per server, only one stream can have them",
                      a.name));
  const auto goes_to = [&](const StreamConfig& stream, const std::string& site) {
    return std::any_of(stream.to.begin(), stream.to.end(), [&](const TargetConfig& target) {
      return same_database(target.site, site);
    });
  };
  const bool meet =
      std::any_of(a.to.begin(), a.to.end(), [&](auto& target) { return goes_to(b, target.site); });
  const bool oppose = goes_to(a, b.from) && goes_to(b, a.from);
  const bool follow = goes_to(a, b.from) != goes_to(b, a.from);
  if (!meet && !oppose && !follow) return;
  const std::string tables = common_tables(a, b);
  if (tables.empty()) return;
  if (meet)
    warn(path + ".tables",
         fmt::format("may take the same tables to the same target as stream '{}': {} meet", a.name,
                     tables));
  if (oppose)
    warn(path + ".tables",
         fmt::format(
             "may take the same tables as stream '{}', the other way: {} meet; a row that is "
             "changed on both sides at once stops the stream",
             a.name, tables));
  if (follow) {
    const StreamConfig& first = goes_to(a, b.from) ? a : b;
    const StreamConfig& second = goes_to(a, b.from) ? b : a;
    error(
        path + ".tables",
        fmt::format("{} would end at site '{}': stream '{}' brings them there, and '{}' passes on "
                    "only what is written there; give '{}' the targets of '{}' instead",
                    tables, second.from, first.name, second.name, first.name, second.name));
  }
}

void Combinations::warn_of_idle_sites() {
  std::set<std::string> used;
  for (const StreamConfig& stream : config_.streams) {
    used.insert(stream.from);
    for (const TargetConfig& target : stream.to) used.insert(target.site);
  }
  for (const SiteConfig& site : config_.sites)
    if (!used.contains(site.name)) warn("sites." + site.name, "no stream uses it");
}

// A loopback address or a name without a dot means another server in another region.
bool Combinations::comparable(const std::string& a, const std::string& b) const {
  if (!whereabouts_.contains(a) || !whereabouts_.contains(b)) return false;
  return whereabouts_.at(a).known_everywhere || config_.site(a)->region == config_.site(b)->region;
}

bool Combinations::same_database(const std::string& a, const std::string& b) const {
  return a == b || (comparable(a, b) && whereabouts_.at(a).database == whereabouts_.at(b).database);
}

bool Combinations::same_server(const std::string& a, const std::string& b) const {
  return a == b || (comparable(a, b) && whereabouts_.at(a).server == whereabouts_.at(b).server);
}

}  // namespace

void check_combinations(Config& config, std::vector<Finding>& errors) {
  Combinations(config, errors).check();
}

}  // namespace farshore::config
