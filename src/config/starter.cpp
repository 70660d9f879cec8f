#include "config/starter.h"

#include <fmt/format.h>

#include <cctype>

#include "config/value.h"

namespace farshore::config {
namespace {

constexpr const char* kRegions = R"(# Farshore's configuration: the same file in every region.
# All keys, their bounds and defaults: docs/operating/configuration.md
# After a change: `farshore check`, then SIGHUP to the agents (systemctl reload farshore).

name: {}

# One agent runs in each region: farshore run --region NAME
# link: where the other regions reach it; data: its journals. Keys and certificates lie in tls/
# beside this file.
regions:
)";

constexpr const char* kSites = R"(
# The databases. A dsn holds no password: it comes from password_file (mode 0600), password_env
# or ~/.pgpass, and only its own region needs it. `farshore grants SITE` prints what its user
# must be allowed.
sites:
)";

constexpr const char* kStream = R"(
# What flows from where to where.
streams:
  app:
    from: app-{}
    to: [{}]
    # The first rule that matches a table decides; what none matches is not replicated, and
    # `farshore check` says so.
    tables:
      # - {{ match: "public.sessions", exclude: true }}
      # - {{ match: "public.events", identity: full }}   # a table without a primary key
      - {{ match: "public.*" }}
    # Target tables that hold rows already: refuse, keep (copy nothing into them) or replace
    # (empty them first).
    existing: refuse
    # Hold applying back, so that a DELETE without WHERE is not in all regions at once. The far
    # journal stays current.
    # apply_delay: 1h
    journal:
      max: 50GiB           # on disk, in each region
      keep: 24h            # also after all targets have applied it
      when_full: hold      # hold: capture waits; drop: a target that is not required is overtaken
    source:
      retain_max: 1GiB     # WAL the primary keeps for us in normal work
      wal_max: 16GiB       # WAL that may pile up while capture is held, then our slot is dropped:
                           # keep it below the free space of the primary's WAL disk
)";

}  // namespace

std::string legal_name(std::string_view text) {
  const auto is_alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  std::string name;
  for (const char c : text) {
    const bool legal = is_alnum(c) || c == '-' || c == '_';
    if (name.size() < kNameMax && (is_alnum(c) || !name.empty())) name += legal ? c : '-';
  }
  while (!name.empty() && !is_alnum(name.back())) name.pop_back();
  return name.empty() ? "shop" : name;
}

std::string starter_yaml(const StarterChoices& choices) {
  std::string text = fmt::format(fmt::runtime(kRegions), legal_name(choices.name));
  for (const std::string& region : choices.regions)
    text += fmt::format(
        "  {0}: {{ link: farshore.{0}.example.com:7432, data: /var/lib/farshore }}\n", region);
  text += kSites;
  std::string targets;
  for (const std::string& region : choices.regions) {
    text += fmt::format(
        "  app-{0}:\n    region: {0}\n    engine: postgres\n"
        "    dsn: \"host=db.{0}.example.com dbname=app user=farshore sslmode=verify-full\"\n"
        "    # password_file: /etc/farshore/app-{0}.password\n",
        region);
    if (region != choices.regions.front())
      targets += (targets.empty() ? "app-" : ", app-") + region;
  }
  return text + fmt::format(fmt::runtime(kStream), choices.regions.front(), targets);
}

}  // namespace farshore::config
