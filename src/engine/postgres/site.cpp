#include "engine/postgres/site.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "engine/postgres/publication.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/site_question.h"
#include "engine/postgres/site_tables.h"

namespace farshore::postgres {
namespace {

constexpr Duration kConnectWait = 10s;
constexpr Duration kAnswerWait = 20s;
constexpr Duration kCatalogWait = 30s;  // of all tables of a stream
constexpr Duration kClockOffsetMax = 500ms;
constexpr int kOldestVersion = 140000;

bool takes(const SiteOptions& options, const TableName& table) {
  return options.rules.empty() || rule_of(options.rules, table) != nullptr;
}

class PostgresSite final : public Site {
 public:
  PostgresSite(os::World& world, SiteOptions options)
      : world_(world), options_(std::move(options)) {}

  Result<SiteFacts> probe() override {
    FARSHORE_TRY_ASSIGN(auto connection, open());
    const WallTime before = world_.clock().wall();
    FARSHORE_TRY_ASSIGN(
        Rows rows, connection->query(
                       "SELECT current_setting('server_version'), (SELECT system_identifier FROM "
                       "pg_control_system()), current_database(), "
                       "(extract(epoch FROM clock_timestamp()) * 1e9)::bigint",
                       world_.after(kAnswerWait)));
    const WallTime after = world_.clock().wall();
    const WallTime server(Duration(std::atoll(std::string(rows.text(0, 3)).c_str())));
    return SiteFacts{
        .server_version = std::string(rows.text(0, 0)),
        .identity = fmt::format("system={} database={}", rows.text(0, 1), rows.text(0, 2)),
        .clock_offset = server - (before + (after - before) / 2)};
  }

  std::vector<Finding> check(SiteRole role) override {
    auto connection = open();
    if (!connection.ok())
      return {{.level = FindingLevel::error,
               .code = "unreachable",
               .object = "site " + options_.name,
               .message = connection.error().what,
               .remedy = remedy_of(connection.error().kind)}};
    SiteQuestions ask(world_, options_, **connection);
    check_both(ask);
    if (role == SiteRole::source)
      check_source(ask);
    else
      check_target(ask);
    return ask.take();
  }

  Result<std::string> describe() override {
    FARSHORE_TRY_ASSIGN(auto connection, open());
    return describe_tables(*connection, options_.rules, world_.after(kCatalogWait));
  }

  Result<std::vector<Finding>> compare(const std::string& description) override {
    FARSHORE_TRY_ASSIGN(auto connection, open());
    SiteQuestions ask(world_, options_, *connection);
    FARSHORE_TRY(compare_tables(ask, *connection, description, world_.after(kCatalogWait)));
    return ask.take();
  }

  void interrupt() override { waker_.wake(); }

  Result<std::string> grants(SiteRole role) override {
    FARSHORE_TRY_ASSIGN(auto connection, open());
    FARSHORE_TRY_ASSIGN(Rows who, connection->query("SELECT current_user, current_database()",
                                                    world_.after(kAnswerWait)));
    const std::string user(who.text(0, 0)), database(who.text(0, 1));
    if (role == SiteRole::target) {
      FARSHORE_TRY_ASSIGN(
          Rows rows,
          connection->query(
              "SELECT nspname FROM pg_namespace WHERE nspname NOT IN "
              "('information_schema', 'farshore') AND nspname NOT LIKE 'pg\\_%' ORDER BY 1",
              world_.after(kAnswerWait)));
      std::vector<std::string> schemas;
      schemas.reserve(static_cast<std::size_t>(rows.count()));
      for (int row = 0; row < rows.count(); ++row) schemas.emplace_back(rows.text(row, 0));
      return target_grants(user, database, connection->server_version(), schemas);
    }
    FARSHORE_TRY_ASSIGN(
        Rows rows,
        connection->query("SELECT n.nspname, c.relname, o.rolname, o.rolsuper "
                          "FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner JOIN pg_namespace "
                          "n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p') AND "
                          "c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog',"
                          "'information_schema','farshore') ORDER BY 1, 2",
                          world_.after(kAnswerWait)));
    std::vector<OwnedTable> tables;
    for (int row = 0; row < rows.count(); ++row) {
      const TableName table{std::string(rows.text(row, 0)), std::string(rows.text(row, 1))};
      if (takes(options_, table))
        tables.push_back({.schema = table.schema,
                          .name = table.name,
                          .owner = std::string(rows.text(row, 2)),
                          .superuser_owns = rows.text(row, 3) == "t"});
    }
    return source_grants(user, database, tables);
  }

 private:
  std::string remedy_of(ErrorKind kind) const {
    if (kind == ErrorKind::denied)
      return fmt::format(
          "let its role in: the password of `sites.{}`, or a line for it in the server's "
          "pg_hba.conf",
          options_.name);
    if (kind == ErrorKind::not_found)
      return fmt::format("make that database, or correct dbname in `sites.{}.dsn`", options_.name);
    return fmt::format("start the server and let this machine reach it, or correct `sites.{}.dsn`",
                       options_.name);
  }

  Result<std::unique_ptr<Connection>> open() {
    ConnectOptions connect = options_.connect;
    // A commit that only reads waits for nobody, and `check` sees what others have.
    connect.settings.emplace_back("synchronous_commit", std::nullopt);
    return Connection::open(world_, connect, world_.after(kConnectWait), &waker_);
  }

  os::World& world_;
  const SiteOptions options_;
  os::Waker waker_;
};

}  // namespace

std::unique_ptr<Site> make_site(os::World& world, SiteOptions options) {
  return std::make_unique<PostgresSite>(world, std::move(options));
}

std::vector<std::vector<std::string>> SiteQuestions::table(const std::string& sql) {
  auto rows = connection_.query(sql, world_.after(kAnswerWait));
  std::vector<std::vector<std::string>> out;
  if (!rows.ok()) {
    add_not_checked(rows.error());
    return out;
  }
  for (int row = 0; row < rows->count(); ++row) {
    auto& cells = out.emplace_back();
    for (int column = 0; column < rows->columns(); ++column)
      cells.emplace_back(rows->text(row, column));
  }
  return out;
}

namespace {

// What gives back what PUBLIC has of a catalog; empty when the words of the server do not name it.
std::string grant_of(std::string_view refused, std::string_view role) {
  constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"denied for table ", "SELECT ON"},
      {"denied for view ", "SELECT ON"},
      {"denied for function ", "EXECUTE ON FUNCTION"}};
  for (const auto& [words, right] : kKinds) {
    const std::size_t at = refused.find(words);
    if (at == std::string_view::npos) continue;
    const std::string_view name = refused.substr(at + words.size());
    return fmt::format("GRANT {} {} TO {};", right, name.substr(0, name.find(' ')), role);
  }
  return "";
}

}  // namespace

void SiteQuestions::add_not_checked(const Error& error) {
  std::string remedy;
  if (error.kind == ErrorKind::denied) {
    const auto who =
        connection_.query("SELECT quote_ident(current_user)", world_.after(kAnswerWait));
    if (who.ok()) remedy = grant_of(error.what, who->text(0, 0));
  }
  if (remedy.empty()) remedy = "farshore check  -- again, once the server answers that";
  add(FindingLevel::warning, "not_checked", site(), "a catalog could not be read: " + error.what,
      remedy);
}

std::optional<std::vector<CatalogTable>> SiteQuestions::catalog_tables() {
  auto tables = read_catalog_tables(connection_, world_.after(kCatalogWait));
  if (tables.ok()) return *std::move(tables);
  add_not_checked(tables.error());
  return std::nullopt;
}

bool SiteQuestions::takes(const TableName& table) const {
  return postgres::takes(options_, table);
}

std::string listed(const std::vector<std::string>& names, std::size_t most) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > most) out += fmt::format(" and {} more", names.size() - most);
  return out;
}

std::string SiteQuestions::value(const std::string& sql) {
  const auto rows = table(sql);
  return rows.empty() || rows[0].empty() ? "" : rows[0][0];
}

std::vector<std::string> SiteQuestions::list(const std::string& sql) {
  std::vector<std::string> out;
  for (auto& row : table(sql))
    if (!row.empty()) out.push_back(std::move(row[0]));
  return out;
}

std::string SiteQuestions::setting(const std::string& name) {
  return value("SELECT current_setting(" + quote_literal(name) + ", true)");
}

void SiteQuestions::add(FindingLevel level, const std::string& code, const std::string& object,
                        const std::string& message, const std::string& remedy) {
  findings_.push_back(
      {.level = level, .code = code, .object = object, .message = message, .remedy = remedy});
}

void check_both(SiteQuestions& ask) {
  if (ask.server_version() < kOldestVersion)
    ask.add(FindingLevel::error, "version", ask.site(),
            fmt::format("the server is PostgreSQL {}: 14 or newer is needed",
                        ask.setting("server_version")),
            "upgrade the server to PostgreSQL 14 or newer (pg_upgrade)");
  const std::string encoding = ask.setting("server_encoding");
  if (encoding != "UTF8")
    ask.add(encoding == "SQL_ASCII" ? FindingLevel::error : FindingLevel::warning, "encoding",
            ask.site(),
            fmt::format("the database's encoding is {}: text travels as UTF-8{}", encoding,
                        encoding == "SQL_ASCII" ? ", and SQL_ASCII cannot be converted" : ""),
            fmt::format("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0;  -- then move the "
                        "data there with pg_dump, and name it in the site's dsn",
                        quote_identifier(ask.value("SELECT current_database()") + "_utf8")));
  const std::string offset = ask.value("SELECT extract(epoch FROM clock_timestamp())");
  const double seconds = std::atof(offset.c_str());
  const double own = seconds_of(ask.now().time_since_epoch());
  if (!offset.empty() && std::abs(seconds - own) > seconds_of(kClockOffsetMax))
    ask.add(
        FindingLevel::warning, "clock_offset", ask.site(),
        fmt::format(
            "the server's clock is {:+.1f} s off this agent's: lags are shown by that much wrong",
            seconds - own),
        "run a time service (chrony, systemd-timesyncd) on both machines");
}

namespace {

// For a line of comment, which a line's end within a name would end.
std::string remark(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n' || c == '\r') out += "-- ";
  }
  return out;
}

}  // namespace

std::string source_grants(const std::string& role, const std::string& database,
                          const std::vector<OwnedTable>& tables) {
  const std::string who = quote_identifier(role);
  const std::string of_database = quote_identifier(database);
  std::string sql = fmt::format(
      "-- run as a superuser, connected to {}\n"
      "ALTER ROLE {} REPLICATION;                       -- to read the log\n"
      "GRANT CONNECT, CREATE ON DATABASE {} TO {};     -- to make the publication\n",
      remark(of_database), who, of_database, who);
  std::string last_schema, of_superusers;
  std::set<std::string> owners;
  for (const OwnedTable& table : tables) {
    const std::string name = quote_qualified(table.schema, table.name);
    if (table.schema != last_schema)
      sql += fmt::format("GRANT USAGE ON SCHEMA {} TO {};\n", quote_identifier(table.schema), who);
    last_schema = table.schema;
    sql += fmt::format("GRANT SELECT ON {} TO {};\n", name, who);
    if (table.owner == role) continue;
    if (table.superuser_owns)
      of_superusers += fmt::format("--   ALTER TABLE {} OWNER TO {};\n", remark(name), remark(who));
    else
      owners.insert(quote_identifier(table.owner));
  }
  sql += fmt::format(
      "-- Optional; `farshore check` says what falls away without it (senders_hidden):\n"
      "--   GRANT pg_read_all_stats TO {};\n",
      remark(who));
  if (!owners.empty() || !of_superusers.empty())
    sql +=
        "-- Only an owner may publish a table. Instead, an owner may add the tables to the "
        "publication by hand: without\n"
        "-- these lines `farshore events` prints each ALTER PUBLICATION that is missing.\n";
  for (const std::string& owner : owners) sql += fmt::format("GRANT {} TO {};\n", owner, who);
  if (!of_superusers.empty())
    sql += fmt::format(
        "-- These are a superuser's: being its member would make {0} one. Give them to {0}, or to "
        "a role that is no\n-- superuser and is granted to {0}:\n{1}",
        remark(who), of_superusers);
  return sql;
}

std::string target_grants(const std::string& role, const std::string& database, int server_version,
                          const std::vector<std::string>& schemas) {
  const std::string who = quote_identifier(role);
  const std::string of_database = quote_identifier(database);
  std::string sql = fmt::format(
      "-- run as a superuser, connected to {}\n"
      "GRANT CONNECT, CREATE ON DATABASE {} TO {};     -- schemas and tables are made by "
      "Farshore\n",
      remark(of_database), of_database, who);
  for (const std::string& schema : schemas)
    sql += fmt::format("GRANT USAGE, CREATE ON SCHEMA {} TO {};\n", quote_identifier(schema), who);
  for (const char* function :
       {"pg_replication_origin_create(text)", "pg_replication_origin_drop(text)",
        "pg_replication_origin_oid(text)", "pg_replication_origin_session_setup(text)",
        "pg_replication_origin_session_reset()", "pg_replication_origin_session_progress(boolean)",
        "pg_replication_origin_xact_setup(pg_lsn, timestamptz)",
        "pg_replication_origin_progress(text, boolean)"}) {
    std::string name = function;
    if (server_version >= 190000 && name == "pg_replication_origin_session_setup(text)")
      name = "pg_replication_origin_session_setup(text, integer)";
    sql += fmt::format("GRANT EXECUTE ON FUNCTION {} TO {};\n", name, who);
  }
  if (server_version >= 150000)
    sql += fmt::format(
        "GRANT SET ON PARAMETER session_replication_role TO {};  -- so that triggers and foreign "
        "keys do "
        "not fire twice\n",
        who);
  else
    sql +=
        "-- before PostgreSQL 15 only a superuser may set session_replication_role: without it "
        "triggers and foreign "
        "keys of the target fire\n";
  sql += "-- For tables that exist already and that somebody else owns:\n";
  for (const std::string& schema : schemas)
    sql += fmt::format(
        "--   GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {} TO {};\n",
        remark(quote_identifier(schema)), remark(who));
  return sql;
}

}  // namespace farshore::postgres
