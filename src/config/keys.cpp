#include "config/keys.h"

#include <array>

namespace farshore::config {
namespace {

constexpr std::array<std::string_view, 2> kCompression{"adaptive", "off"};
constexpr std::array<std::string_view, 2> kWhenFull{"hold", "drop"};
constexpr std::array<std::string_view, 3> kExisting{"refuse", "keep", "replace"};
constexpr std::array<std::string_view, 3> kClass{"async", "near", "far"};
constexpr std::array<std::string_view, 2> kIdentity{"key", "full"};
constexpr std::array<std::string_view, 2> kMode{"available", "protect"};

constexpr std::array<Key<Config>, 6> kFileKeys{{
    {.name = "name",
     .field = [](Config& c) -> Field { return &c.name; },
     .form = Form::name,
     .required = true,
     .help = "the name of the whole: agents link only with agents of the same one"},
    {.name = "regions", .required = true, .help = "the regions by name"},
    {.name = "sites", .help = "the databases by name"},
    {.name = "streams", .help = "what flows, by name"},
    {.name = "defaults", .help = "anything of a stream, for all streams that do not say otherwise"},
    {.name = "link", .help = "limits and intervals of the links between regions"},
}};

constexpr std::array<Key<link::Options>, 6> kLinkKeys{{
    {.name = "connections",
     .field = [](link::Options& o) -> Field { return &o.connections_max; },
     .bounds = {"1", "16"},
     .help = "at most so many TCP connections for each direction and pair of regions"},
    {.name = "window",
     .field = [](link::Options& o) -> Field { return &o.channel_window_bytes; },
     .bounds = {"1MiB", "1GiB"},
     .help = "bytes of a stream on the way; bandwidth times round trip: 10MiB for 1 Gbit/s at 80 "
             "ms, 25MiB at 200 ms; at least 5MiB are used"},
    {.name = "compression",
     .field = [](link::Options& o) -> Field { return choice(o.compression, kCompression); },
     .help = "adaptive: zstd at the level that the WAN needs and the CPU allows"},
    {.name = "keepalive",
     .field = [](link::Options& o) -> Field { return &o.keepalive_every; },
     .bounds = {"100ms", "10s"},
     .help = "interval of the keepalives that measure round trip and clocks"},
    {.name = "dead_after",
     .field = [](link::Options& o) -> Field { return &o.dead_after; },
     .bounds = {"1s", "1m"},
     .help = "a peer silent for so long counts as gone; at least three keepalives"},
    {.name = "connect_timeout",
     .field = [](link::Options& o) -> Field { return &o.connect_timeout; },
     .bounds = {"1s", "1m"},
     .help = "for one attempt, TLS handshake included"},
}};

constexpr std::array<Key<RegionConfig>, 6> kRegionKeys{{
    {.name = "link",
     .field = [](RegionConfig& r) -> Field { return &r.link; },
     .form = Form::address,
     .required = true,
     .help = "where the other regions reach this region's agent"},
    {.name = "listen",
     .field = [](RegionConfig& r) -> Field { return &r.listen; },
     .form = Form::address,
     .help = "what the agent binds; when not given: the port of `link` on all addresses, or `link` "
             "itself when that is a loopback address"},
    {.name = "api",
     .field = [](RegionConfig& r) -> Field { return &r.api; },
     .form = Form::address,
     .help = "HTTP API and metrics; with `api_token_file` it speaks https alone, with the region's "
             "certificate (`tls`), which bears the region's name and no address"},
    {.name = "api_token_file",
     .field = [](RegionConfig& r) -> Field { return &r.api_token_file; },
     .form = Form::path,
     .help =
         "file whose first line, of at least 16 characters (`openssl rand -hex 32`), is the "
         "token that callers must show, mode 0600; needed when `api` is not a loopback address"},
    {.name = "data",
     .field = [](RegionConfig& r) -> Field { return &r.data; },
     .form = Form::path,
     .required = true,
     .help = "folder of the journals and the agent's state"},
    {.name = "tls",
     .field = [](RegionConfig& r) -> Field { return &r.tls; },
     .form = Form::path,
     .help = "folder of ca.crt, REGION.crt and REGION.key, see ../formats/certificates.md"},
}};

constexpr std::array<Key<SiteConfig>, 6> kSiteKeys{{
    {.name = "region",
     .field = [](SiteConfig& s) -> Field { return &s.region; },
     .form = Form::name,
     .required = true,
     .help = "the region in which it stands"},
    {.name = "engine",
     .field = [](SiteConfig& s) -> Field { return &s.engine; },
     .form = Form::engine,
     .required = true,
     .help = "what it is"},
    {.name = "dsn",
     .field = [](SiteConfig& s) -> Field { return &s.dsn; },
     .form = Form::connection,
     .required = true,
     .help = "how to connect, as its own region sees it; without a password"},
    {.name = "password_file",
     .field = [](SiteConfig& s) -> Field { return &s.password_file; },
     .form = Form::path,
     .help = "file that holds the password on its first line, mode 0600"},
    {.name = "password_env",
     .field = [](SiteConfig& s) -> Field { return &s.password_env; },
     .form = Form::environment,
     .help = "environment variable of the agent that holds the password"},
    {.name = "heartbeat",
     .field = [](SiteConfig& s) -> Field { return &s.heartbeat; },
     .bounds = {"100ms", "1m"},
     .help = "interval of the commit by which lag is measured, when it is a source"},
}};

constexpr std::array<Key<StreamConfig>, 20> kStreamKeys{{
    {.name = "id",
     .field = [](StreamConfig& s) -> Field { return &s.id; },
     .in_defaults = false,
     .help = "identity of the stream; when not given one is made at its first start and kept"},
    {.name = "from",
     .field = [](StreamConfig& s) -> Field { return &s.from; },
     .form = Form::name,
     .required = true,
     .reach = Reach::definition,
     .in_defaults = false,
     .help = "the source: a site"},
    {.name = "to",
     .form = Form::list,
     .required = true,
     .reach = Reach::definition,
     .in_defaults = false,
     .help = "the targets: sites, at most one in a region, none in the source's"},
    {.name = "tables",
     .form = Form::list,
     .required = true,
     .reach = Reach::definition,
     .help = "rules; the first that matches a table decides, what none matches is not replicated"},
    {.name = "existing",
     .field = [](StreamConfig& s) -> Field { return choice(s.existing, kExisting); },
     .reach = Reach::inherited,
     .help = "what the initial copy does with a target table that holds rows: `keep` leaves them "
             "and copies nothing, "
             "`replace` empties it first"},
    {.name = "apply_delay",
     .field = [](StreamConfig& s) -> Field { return &s.apply_delay; },
     .bounds = {"0s", "30d"},
     .reach = Reach::inherited,
     .help = "targets apply a commit so long after it, by the clock of the source's region; the "
             "far journal stays current"},
    {.name = "copy.tables",
     .field = [](StreamConfig& s) -> Field { return &s.copy_tables; },
     .bounds = {"1", "32"},
     .help = "tables copied at once by the initial copy"},
    {.name = "protection.mode",
     .field = [](StreamConfig& s) -> Field { return choice(s.protection.mode, kMode); },
     .reach = Reach::definition,
     .no_effect_yet = true,
     .help = "when the far side is gone, commits of class far go on as async (`available`) or wait "
             "(`protect`)"},
    {.name = "protection.degrade_after",
     .field = [](StreamConfig& s) -> Field { return &s.protection.degrade_after; },
     .bounds = {"1s", "1h"},
     .reach = Reach::definition,
     .no_effect_yet = true,
     .help = "how long a commit waits before `available` lets it go"},
    {.name = "journal.max",
     .field = [](StreamConfig& s) -> Field { return &s.journal.bytes_max; },
     .bounds = {"8MiB", "1024TiB"},
     .help = "size of the stream's journal in each region"},
    {.name = "journal.keep",
     .field = [](StreamConfig& s) -> Field { return &s.journal.keep; },
     .bounds = {"0s", "365d"},
     .help = "how long a change stays in the journal, also after all targets have applied it"},
    {.name = "journal.when_full",
     .field = [](StreamConfig& s) -> Field { return choice(s.journal.when_full, kWhenFull); },
     .help = "`hold`: capture waits and the source keeps its log; `drop`: the slowest target that "
             "is not required is "
             "overtaken"},
    {.name = "journal.segment",
     .field = [](StreamConfig& s) -> Field { return &s.journal.segment_bytes; },
     .bounds = {"1MiB", "1GiB"},
     .help = "size of one file of the journal, the unit of removal"},
    {.name = "journal.free_min",
     .field = [](StreamConfig& s) -> Field { return &s.journal.free_bytes_min; },
     .bounds = {"0B", "1TiB"},
     .help = "space left free on the journal's file system; below it the journal counts as full"},
    {.name = "journal.scrub",
     .field = [](StreamConfig& s) -> Field { return &s.journal.scrub_interval; },
     .bounds = {"1s", "30d"},
     .help = "every record is read and checked once in this time"},
    {.name = "source.retain_max",
     .field = [](StreamConfig& s) -> Field { return &s.source.retain_max; },
     .bounds = {"16MiB", "1TiB"},
     .help = "log that the source keeps for us, beyond what the near journal has, until the far "
             "journals have it too"},
    {.name = "source.wal_max",
     .field = [](StreamConfig& s) -> Field { return &s.source.wal_max; },
     .bounds = {"32MiB", "1024TiB"},
     .help = "log that may pile up at the source while capture is held, counted from what we "
             "released: then our slot is dropped, before the source's disk fills; keep it below "
             "the free space there"},
    {.name = "slo.rpo",
     .field = [](StreamConfig& s) -> Field { return &s.slo.rpo; },
     .bounds = {"0s", "30d"},
     .reach = Reach::definition,
     .no_effect_yet = true,
     .help = "the age that the newest durable commit in the other region may have; 0s: no SLO"},
    {.name = "slo.objective",
     .field = [](StreamConfig& s) -> Field { return &s.slo.objective_percent; },
     .bounds = {"50%", "99.999%"},
     .reach = Reach::definition,
     .no_effect_yet = true,
     .help = "share of the time in which that must hold"},
    {.name = "slo.window",
     .field = [](StreamConfig& s) -> Field { return &s.slo.window; },
     .bounds = {"1h", "365d"},
     .reach = Reach::definition,
     .no_effect_yet = true,
     .help = "the time over which that is counted"},
}};

constexpr std::array<Key<TargetConfig>, 4> kTargetKeys{{
    {.name = "site",
     .field = [](TargetConfig& t) -> Field { return &t.site; },
     .form = Form::name,
     .required = true,
     .reach = Reach::definition,
     .help = "the target; `to: [NAME]` is short for `to: [{ site: NAME }]`"},
    {.name = "required",
     .field = [](TargetConfig& t) -> Field { return &t.required; },
     .reach = Reach::definition,
     .help = "the source forgets nothing that this target's journal has not, and it is never "
             "overtaken"},
    {.name = "apply_delay",
     .field = [](TargetConfig& t) -> Field { return &t.apply_delay; },
     .bounds = {"0s", "30d"},
     .reach = Reach::definition,
     .help = "as of the stream, for this target"},
    {.name = "existing",
     .field = [](TargetConfig& t) -> Field { return choice(t.existing, kExisting); },
     .reach = Reach::definition,
     .help = "as of the stream, for this target"},
}};

constexpr std::array<Key<TableRule>, 4> kRuleKeys{{
    {.name = "match",
     .field = [](TableRule& r) -> Field { return &r.match; },
     .form = Form::pattern,
     .required = true,
     .reach = Reach::definition,
     .help = "schema.table; `*` is any run of characters, `?` any one"},
    {.name = "exclude",
     .field = [](TableRule& r) -> Field { return &r.exclude; },
     .reach = Reach::definition,
     .help = "these tables stay out"},
    {.name = "class",
     .field = [](TableRule& r) -> Field { return choice(r.durability, kClass); },
     .reach = Reach::definition,
     .no_effect_yet = true,
     .help =
         "what a commit that changes them waits for: nothing, the near journal, the far journal"},
    {.name = "identity",
     .field = [](TableRule& r) -> Field { return choice(r.identity, kIdentity); },
     .reach = Reach::definition,
     .help = "`full`: take also tables without a usable key, by their whole old rows (REPLICA "
             "IDENTITY FULL)"},
}};

}  // namespace

std::span<const Key<Config>> file_keys() {
  return kFileKeys;
}
std::span<const Key<link::Options>> link_keys() {
  return kLinkKeys;
}
std::span<const Key<RegionConfig>> region_keys() {
  return kRegionKeys;
}
std::span<const Key<SiteConfig>> site_keys() {
  return kSiteKeys;
}
std::span<const Key<StreamConfig>> stream_keys() {
  return kStreamKeys;
}
std::span<const Key<TargetConfig>> target_keys() {
  return kTargetKeys;
}
std::span<const Key<TableRule>> rule_keys() {
  return kRuleKeys;
}

}  // namespace farshore::config
