#include "engine/postgres/copy_sink.h"

#include <algorithm>
#include <set>

#include "engine/postgres/copy_sink_survey.h"
#include "engine/postgres/copy_sink_writer.h"
#include "engine/postgres/ddl.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/sink_session.h"

namespace farshore::postgres {
namespace {

constexpr std::size_t kRefusalsMax = 20;  // named in one message
constexpr Duration kBuildWait = 24h;      // of one index

class PostgresCopySink final : public CopySink {
 public:
  PostgresCopySink(os::World& world, ConnectOptions connect, SinkOptions options, EventSink events)
      : world_(world),
        connect_(std::move(connect)),
        options_(std::move(options)),
        events_(std::move(events)) {}

  Result<std::vector<std::string>> missing(const Uuid& stream,
                                           const std::vector<SourceTable>& tables) override;
  Result<std::vector<TargetTable>> prepare(const Uuid& stream, std::optional<Epoch> aside,
                                           ByteView shared_definitions,
                                           const std::vector<SourceTable>& tables,
                                           ExistingRows existing) override;
  Result<std::unique_ptr<TableWriter>> begin(const Uuid& stream, const SourceTable& table) override;
  Result<void> complete(const Uuid& stream) override;
  Result<void> reset(const Uuid& stream, std::optional<Epoch> aside,
                     const std::string& table) override;
  Result<void> lose_aside(const Uuid& stream) override;
  Result<void> begin_anew(const Uuid& stream) override;
  Result<void> join(const Uuid& stream, Epoch epoch, Sequence through) override;
  void interrupt() override { waker_.wake(); }

 private:
  Result<std::unique_ptr<Connection>> open() {
    return Connection::open(world_, connect_, world_.after(options_.connect_wait), &waker_);
  }
  Result<std::unique_ptr<Connection>> connect(const Uuid& stream);
  Result<void> make_shared(Connection& connection, const Survey& survey);
  Result<void> make_table(Connection& connection, const Uuid& stream, std::optional<Epoch> aside,
                          const SourceTable& table, const TableDefinition& definition,
                          Survey& survey, ExistingRows existing);
  Result<void> lock_state(Connection& connection, const Uuid& stream, const std::string& table,
                          KnownState& known);
  Result<void> make_objects(Connection& connection, std::vector<TableDefinition> definitions);
  void tell_rejoined(const Uuid& stream, const Survey& survey, ExistingRows existing) const;
  void tell_renamed(const Uuid& stream, const Survey& survey) const;
  void tell_new_name(const NewName& name) const;
  Result<void> make_missing(Connection& connection, const TableDefinition& definition);
  Result<TakenNames> taken_names(Connection& connection, const std::vector<IndexName>& wanted);
  Result<std::vector<NewName>> free_names(Connection& connection,
                                          std::vector<TableDefinition>& definitions);
  Result<bool> parent_is_there(Connection& connection, const TableDefinition& table);
  Result<bool> is_made(Connection& connection, const LaterObject& object);
  Result<bool> make_later(Connection& connection, const LaterObject& object);
  Result<void> validate(Connection& connection, const LaterObject& object);
  void drop_copy_origins(Connection& connection, const Uuid& stream);
  void tell(const Uuid& stream, const std::string& name, std::string message) const;
  Deadline soon() const { return world_.after(options_.control_wait); }

  os::World& world_;
  const ConnectOptions connect_;
  const SinkOptions options_;
  const EventSink events_;
  os::Waker waker_;
};

constexpr int kTablesNamedMax = 30;

constexpr const char* kOriginsSql =
    "SELECT roname FROM pg_catalog.pg_replication_origin WHERE pg_catalog.starts_with(roname, $1)";

// What the stream's sink holds, as SQL.
std::string progress_of(const Uuid& stream, Epoch epoch) {
  return fmt::format(
      "coalesce((SELECT sequence FROM farshore.progress WHERE stream = '{}' AND epoch = {}), 0)",
      stream.text(), epoch);
}

Result<std::vector<TableDefinition>> definitions_of(const std::vector<SourceTable>& tables) {
  std::vector<TableDefinition> out;
  for (const SourceTable& table : tables) {
    auto definition = table_from_json(table.definition);
    if (!definition.ok()) return within("table " + table.name, std::move(definition).error());
    out.push_back(*std::move(definition));
  }
  return out;
}

Result<std::unique_ptr<Connection>> PostgresCopySink::connect(const Uuid& stream) {
  FARSHORE_TRY_ASSIGN(auto connection, open());
  FARSHORE_TRY(prepare_writing_session(*connection, soon()));
  FARSHORE_TRY(take_copy_origin(*connection, stream, soon()));
  // Foreign keys are validated with joins of whole tables, which the sink's settings forbid.
  FARSHORE_TRY(
      connection->query("RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin;"
                        " RESET plan_cache_mode",
                        soon()));
  return connection;
}

Result<std::vector<std::string>> PostgresCopySink::missing(const Uuid& stream,
                                                           const std::vector<SourceTable>& tables) {
  FARSHORE_TRY_ASSIGN(auto connection, open());
  FARSHORE_TRY(make_own_tables(*connection, soon()));
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection->query("SELECT table_name, coalesce(membership, '') "
                                        "FROM farshore.table_state WHERE stream "
                                        "= $1::uuid AND (state = 'streaming' OR state = 'copied')"
                                        " AND aside_from IS NULL",
                                        {stream.text()}, soon()));
  std::set<std::pair<std::string, std::string>> copied;
  for (int row = 0; row < rows.count(); ++row)
    copied.emplace(rows.text(row, 0), StoredMembership::from(rows.text(row, 1)).text);
  std::vector<std::string> out;
  for (const SourceTable& table : tables)
    if (!copied.contains({table.name, table.membership})) out.push_back(table.name);
  return out;
}

Result<std::vector<TargetTable>> PostgresCopySink::prepare(const Uuid& stream,
                                                           std::optional<Epoch> aside,
                                                           ByteView shared_definitions,
                                                           const std::vector<SourceTable>& tables,
                                                           ExistingRows existing) {
  FARSHORE_TRY_ASSIGN(const SharedDefinitions shared, shared_from_json(shared_definitions));
  FARSHORE_TRY_ASSIGN(const std::vector<TableDefinition> definitions, definitions_of(tables));
  FARSHORE_TRY_ASSIGN(auto connection, connect(stream));
  FARSHORE_TRY(make_alone(*connection, world_.after(10 * options_.control_wait)));
  FARSHORE_TRY(make_own_tables(*connection, soon()));
  FARSHORE_TRY_ASSIGN(Survey survey,
                      survey_target(*connection, stream, shared, tables, definitions, existing,
                                    world_.after(10 * options_.control_wait)));
  if (!survey.refusals.empty()) {
    std::string text;
    for (std::size_t i = 0; i < std::min(survey.refusals.size(), kRefusalsMax); ++i)
      text += (i == 0 ? " " : "; and ") + survey.refusals[i].text();
    return permanent(ErrorKind::rejected,
                     "{}: nothing was changed; {} of the stream's objects do not fit:{}",
                     connection->server(), survey.refusals.size(), text);
  }
  FARSHORE_TRY(make_shared(*connection, survey));
  tell_rejoined(stream, survey, existing);
  tell_renamed(stream, survey);
  std::vector<TargetTable> out;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    FARSHORE_TRY(
        make_table(*connection, stream, aside, tables[i], definitions[i], survey, existing));
    const KnownState& known = survey.states[tables[i].name];
    out.push_back({.name = tables[i].name, .state = known.state, .rows_copied = known.rows});
  }
  return out;
}

Result<void> PostgresCopySink::make_shared(Connection& connection, const Survey& survey) {
  for (const std::string& schema : survey.missing_schemas)
    FARSHORE_TRY(connection.query("CREATE SCHEMA " + quote_identifier(schema), soon()));
  for (const TypeDefinition& type : survey.missing_types) {
    auto made = connection.query(create_type(type), soon());
    if (!made.ok())
      return within("type " + quote_qualified(type.schema, type.name), std::move(made).error());
  }
  return {};
}

Result<bool> PostgresCopySink::parent_is_there(Connection& connection,
                                               const TableDefinition& table) {
  if (table.parent_name.empty()) return false;
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query("SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                       " ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2"
                       " AND c.relkind = 'p'",
                       {table.parent_schema, table.parent_name}, soon()));
  return rows.count() > 0;
}

// Those of the names, and of what they become with a number behind, that others have.
Result<TakenNames> PostgresCopySink::taken_names(Connection& connection,
                                                 const std::vector<IndexName>& wanted) {
  if (wanted.empty()) return TakenNames();
  constexpr const char* kOwners =
      " JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema"
      " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND {}"
      " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid"
      " LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid";
  std::string names;
  for (const auto& [table, name] : wanted)
    names += fmt::format("{}({}, {}, {})", names.empty() ? "" : ", ", quote_literal(table.schema),
                         quote_literal(name), quote_literal(table.name));
  FARSHORE_TRY_ASSIGN(
      const Rows of_others,
      connection.query("SELECT w.schema, w.name FROM (VALUES " + names +
                           ") AS w(schema, name, of)" + fmt::format(kOwners, "c.relname = w.name") +
                           " WHERE t.relname IS DISTINCT FROM w.of::name",
                       soon()));
  if (of_others.count() == 0) return TakenNames();
  std::vector<TableName> beginnings;
  beginnings.reserve(static_cast<std::size_t>(of_others.count()));
  for (int row = 0; row < of_others.count(); ++row) {
    constexpr std::string_view kNumber = "9999";
    const std::string longest = name_ending(std::string(of_others.text(row, 1)), kNumber);
    beginnings.push_back(
        {std::string(of_others.text(row, 0)), longest.substr(0, longest.size() - kNumber.size())});
  }
  FARSHORE_TRY_ASSIGN(
      const Rows all,
      connection.query("SELECT n.nspname, c.relname, t.relname FROM " + values_sql(beginnings) +
                           fmt::format(kOwners, "pg_catalog.starts_with(c.relname, w.name)"),
                       soon()));
  TakenNames taken;
  for (int row = 0; row < all.count(); ++row) {
    const std::string schema(all.text(row, 0));
    taken[{schema, std::string(all.text(row, 1))}] = {schema, std::string(all.text(row, 2))};
  }
  return taken;
}

Result<void> PostgresCopySink::make_missing(Connection& connection,
                                            const TableDefinition& definition) {
  TableDefinition table = definition;
  FARSHORE_TRY_ASSIGN(const bool as_partition, parent_is_there(connection, table));
  FARSHORE_TRY_ASSIGN(TakenNames taken, taken_names(connection, index_names(table)));
  const std::vector<NewName> renamed = use_free_names(table, taken);
  for (const std::string& sql : create_table(table, as_partition, connection.server_version())) {
    auto made = connection.query(sql, soon());
    if (made.ok()) continue;
    Error error = within(fmt::format("table {} cannot be made on the target", table.quoted_name()),
                         std::move(made).error());
    error.what += fmt::format("; make it there yourself: {}", sql.substr(0, 500));
    return error;
  }
  std::set<std::string> later;
  for (const LaterObject& object : objects_after_copy(table)) later.insert(object.name);
  for (const NewName& name : renamed)
    if (!later.contains(name.given)) tell_new_name(name);
  return {};
}

// The table, if it is missing, and its first state, in one transaction.
Result<void> PostgresCopySink::make_table(Connection& connection, const Uuid& stream,
                                          std::optional<Epoch> aside, const SourceTable& table,
                                          const TableDefinition& definition, Survey& survey,
                                          ExistingRows existing) {
  const std::string& name = table.name;
  FARSHORE_TRY(connection.query("BEGIN", soon()));
  if (!survey.existing.contains({definition.schema, definition.name})) {
    if (auto made = make_missing(connection, definition); !made.ok()) {
      (void)connection.query("ROLLBACK", soon());
      return made;
    }
  }
  KnownState& known = survey.states[name];
  FARSHORE_TRY(lock_state(connection, stream, name, known));
  const bool holds_rows = survey.holds_rows[name];
  if (known.state == TableState::missing) {
    known.membership.kept = holds_rows && existing == ExistingRows::keep;
    known.state = known.membership.kept ? TableState::streaming : TableState::pending;
  }
  known.membership.kept &=
      known.state == TableState::streaming || known.state == TableState::copied;
  known.membership.text = table.membership;
  const bool replace = known.replace || (holds_rows && existing == ExistingRows::replace);
  const bool waits = aside && known.state == TableState::pending;
  FARSHORE_TRY(connection.query(
      "INSERT INTO farshore.table_state AS t"
      " (stream, table_name, state, replace, membership, to_complete, aside_from)"
      " VALUES ($1::uuid, $2, $3, $4::bool, $5, $6, " +
          (waits ? progress_of(stream, *aside) : "NULL") +
          ") ON CONFLICT (stream, table_name) DO UPDATE SET state = EXCLUDED.state,"
          " replace = EXCLUDED.replace, membership = EXCLUDED.membership,"
          " to_complete = EXCLUDED.to_complete, aside_from = " +
          // What it was set aside from before lies before its copy now: the snapshot shows it.
          (aside ? "coalesce(EXCLUDED.aside_from, t.aside_from)" : "NULL"),
      {stream.text(), name, std::string(text_of(known.state)), replace ? "t" : "f",
       known.membership.stored(), table.definition},
      soon()));
  // Under the name that it had before it gets no changes from now on: should the table take that
  // name again, it is another one than was copied.
  FARSHORE_TRY(
      connection.query("UPDATE farshore.table_state SET membership = '0/1'"
                       " WHERE stream = $1::uuid AND table_name <> $2 AND $3 <> ''"
                       " AND split_part(membership, '/', 2) = split_part($3, '/', 2)",
                       {stream.text(), name, table.membership}, soon()));
  FARSHORE_TRY(connection.query("COMMIT", soon()));
  return {};
}

// A copy of before, whose channel broke, may take or finish this table just now: its word counts.
// One that is emptied first may be copied over.
Result<void> PostgresCopySink::lock_state(Connection& connection, const Uuid& stream,
                                          const std::string& table, KnownState& known) {
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query("SELECT state FROM farshore.table_state"
                                       " WHERE stream = $1::uuid AND table_name = $2 FOR UPDATE",
                                       {stream.text(), table}, soon()));
  const bool begins_empty = known.state == TableState::pending && !known.replace;
  if (rows.count() == 0 || (known.state != TableState::copying && !begins_empty)) return {};
  known.state = table_state_of(rows.text(0, 0));
  if (is_copied(known.state)) known.replace = false;
  return {};
}

void PostgresCopySink::tell_rejoined(const Uuid& stream, const Survey& survey,
                                     ExistingRows existing) const {
  for (const std::string& table : survey.rejoined)
    tell(
        stream, "copy.table_rejoined",
        existing == ExistingRows::keep
            ? fmt::format("table {0} was out of the stream for a while, and what changed meanwhile "
                          "is missing here; `existing: keep` leaves its rows alone: to copy it "
                          "again, {1}",
                          table, stream_command(options_.leg, "resnapshot", {"--table", table}))
            : fmt::format("table {} was out of the stream for a while: it is copied again", table));
}

void PostgresCopySink::tell_renamed(const Uuid& stream, const Survey& survey) const {
  for (const auto& [now, before] : survey.renamed)
    tell(stream, "copy.table_renamed",
         fmt::format("table {0} was renamed to {1} at the source, and is copied again as {1}; a "
                     "table {0} that stays here changes no more: DROP TABLE {0}; once nobody needs "
                     "it",
                     before, now));
}

void PostgresCopySink::tell_new_name(const NewName& name) const {
  tell({}, "copy.name_taken",
       fmt::format("index {0} of table {1} was made as {2}: another table or index has its name; "
                   "once that is free: ALTER INDEX {3} RENAME TO {0};",
                   quote_identifier(name.wanted), name.table.quoted(), quote_identifier(name.given),
                   quote_qualified(name.table.schema, name.given)));
}

Result<std::unique_ptr<TableWriter>> PostgresCopySink::begin(const Uuid& stream,
                                                             const SourceTable& table) {
  FARSHORE_TRY_ASSIGN(const TableDefinition definition, table_from_json(table.definition));
  return PostgresTableWriter::begin(world_, connect_, options_, stream, definition, waker_);
}

// What is to be made is kept with the tables until it is: the source lists a copied table no more.
Result<void> PostgresCopySink::complete(const Uuid& stream) {
  FARSHORE_TRY_ASSIGN(auto connection, open());
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection->query("SELECT table_name, to_complete FROM farshore.table_state"
                                        " WHERE stream = $1::uuid AND to_complete IS NOT NULL"
                                        " AND state IN ('copied', 'streaming') ORDER BY table_name",
                                        {stream.text()}, soon()));
  if (rows.count() == 0) return {};
  std::vector<SourceTable> tables;
  tables.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row)
    tables.push_back({.name = std::string(rows.text(row, 0)),
                      .membership = {},
                      .definition = Bytes(rows.text(row, 1))});
  FARSHORE_TRY_ASSIGN(std::vector<TableDefinition> definitions, definitions_of(tables));
  FARSHORE_TRY_ASSIGN(connection, connect(stream));
  FARSHORE_TRY(make_objects(*connection, std::move(definitions)));
  FARSHORE_TRY(connection->query("SET synchronous_commit = local", soon()));
  for (const SourceTable& table : tables)
    FARSHORE_TRY(
        connection->query("UPDATE farshore.table_state SET to_complete = NULL"
                          " WHERE stream = $1::uuid AND table_name = $2",
                          {stream.text(), table.name}, soon()));
  connection.reset();  // it holds one of the origins
  FARSHORE_TRY_ASSIGN(connection, open());
  drop_copy_origins(*connection, stream);
  return {};
}

Result<void> PostgresCopySink::make_objects(Connection& connection,
                                            std::vector<TableDefinition> definitions) {
  FARSHORE_TRY_ASSIGN(const std::vector<NewName> renamed, free_names(connection, definitions));
  std::vector<LaterObject> objects;
  for (const TableDefinition& table : definitions)
    for (LaterObject& object : objects_after_copy(table)) objects.push_back(std::move(object));
  // A foreign key may refer to a unique index of another table.
  std::stable_sort(objects.begin(), objects.end(),
                   [](const LaterObject& a, const LaterObject& b) { return a.kind < b.kind; });
  for (const LaterObject& object : objects) {
    FARSHORE_TRY_ASSIGN(const bool there, is_made(connection, object));
    if (there) continue;
    FARSHORE_TRY_ASSIGN(const bool made, make_later(connection, object));
    if (!made) continue;
    for (const NewName& name : renamed)
      if (name.table == TableName{object.schema, object.table} && name.given == object.name)
        tell_new_name(name);
  }
  for (const TableDefinition& table : definitions)
    for (const std::string& sql : identity_after_copy(table))
      if (auto set = connection.query(sql, soon()); !set.ok() && !connection.usable())
        return std::move(set).error();
  for (const LaterObject& object : objects)
    if (!object.validate.empty()) {
      FARSHORE_TRY_ASSIGN(const bool there, is_made(connection, object));
      if (there) FARSHORE_TRY(validate(connection, object));
    }
  return {};
}

Result<std::vector<NewName>> PostgresCopySink::free_names(
    Connection& connection, std::vector<TableDefinition>& definitions) {
  std::vector<IndexName> wanted;
  for (const TableDefinition& table : definitions)
    for (IndexName& name : index_names(table)) wanted.push_back(std::move(name));
  FARSHORE_TRY_ASSIGN(TakenNames taken, taken_names(connection, wanted));
  std::vector<NewName> renamed;
  for (TableDefinition& table : definitions)
    for (NewName& name : use_free_names(table, taken)) renamed.push_back(std::move(name));
  return renamed;
}

Result<bool> PostgresCopySink::is_made(Connection& connection, const LaterObject& object) {
  const char* sql = object.kind == LaterObject::Kind::index
                        ? "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
                          "n.oid = c.relnamespace"
                          " JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid"
                          " JOIN pg_catalog.pg_class t ON t.oid = i.indrelid"
                          " WHERE n.nspname = $1 AND t.relname = $2 AND c.relname = $3"
                        : "SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON "
                          "c.oid = k.conrelid"
                          " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                          " WHERE n.nspname = $1 AND c.relname = $2 AND k.conname = $3";
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query(sql, {object.schema, object.table, object.name}, soon()));
  return rows.count() > 0;
}

// What the target cannot have (a function or table is missing there) is told and left out: data
// does not depend on it. False: so it was.
Result<bool> PostgresCopySink::make_later(Connection& connection, const LaterObject& object) {
  auto made = connection.query(object.sql, world_.after(kBuildWait));
  if (made.ok()) return true;
  const std::string state = connection.server_error().sqlstate;
  const bool left_out = connection.usable() && made.error().retry == Retry::no && !state.empty();
  if (!left_out) return within(object.sql.substr(0, 200), std::move(made).error());
  tell({}, "copy.object_missing",
       fmt::format("{} of table {} was not made: {}; on the target: {};",
                   quote_identifier(object.name), quote_qualified(object.schema, object.table),
                   connection.server_error().shown_message(), object.sql));
  return false;
}

Result<void> PostgresCopySink::validate(Connection& connection, const LaterObject& object) {
  auto validated = connection.query(object.validate, world_.after(kBuildWait));
  if (validated.ok()) return {};
  if (!connection.usable() || validated.error().retry == Retry::yes)
    return std::move(validated).error();
  tell({}, "copy.foreign_key_unvalidated",
       fmt::format("foreign key {} of table {} could not be validated before the copy has caught "
                   "up: {}; later, on the "
                   "target: {};",
                   quote_identifier(object.name), quote_qualified(object.schema, object.table),
                   connection.server_error().shown_message(), object.validate));
  return {};
}

// Each takes one of few slots; one that cannot be dropped (a session still holds it) goes with the
// next copy.
void PostgresCopySink::drop_copy_origins(Connection& connection, const Uuid& stream) {
  const auto prefix = origin_prefix(connection, stream, soon());
  if (!prefix.ok()) return;
  auto names = connection.query(kOriginsSql, {copy_origin_name(*prefix) + "_"}, soon());
  if (!names.ok()) return;
  for (int row = 0; row < names->count(); ++row)
    (void)connection.query("SELECT pg_catalog.pg_replication_origin_drop($1)",
                           {std::string(names->text(row, 0))}, soon());
}

Result<void> PostgresCopySink::reset(const Uuid& stream, std::optional<Epoch> aside,
                                     const std::string& table) {
  FARSHORE_TRY_ASSIGN(auto connection, connect(stream));
  FARSHORE_TRY(make_own_tables(*connection, soon()));
  FARSHORE_TRY(connection->query("SET synchronous_commit = local", soon()));
  FARSHORE_TRY_ASSIGN(
      const Rows marked,
      connection->query(
          "UPDATE farshore.table_state AS t SET state = 'pending', replace = true, snapshot = NULL,"
          " snapshot_lsn = NULL, at = now(), aside_from = " +
              (aside ? "coalesce(t.aside_from, " + progress_of(stream, *aside) + ")" : "NULL") +
              " WHERE t.stream = $1::uuid AND ($2 = '' OR t.table_name = $2)",
          {stream.text(), table}, soon()));
  if (marked.affected() > 0 || table.empty()) return {};
  FARSHORE_TRY_ASSIGN(
      const Rows all,
      connection->query("SELECT table_name FROM farshore.table_state WHERE stream = $1::uuid"
                        " ORDER BY table_name LIMIT " +
                            std::to_string(kTablesNamedMax),
                        {stream.text()}, soon()));
  std::string names;
  for (int row = 0; row < all.count(); ++row)
    names += fmt::format("{}{}", row == 0 ? " " : ", ", all.text(row, 0));
  if (all.count() == kTablesNamedMax) names += ", …";
  return permanent(ErrorKind::not_found,
                   "{}: the stream has no table {} to be copied again; it has{}",
                   connection->server(), table, names.empty() ? " none yet" : names);
}

Result<void> PostgresCopySink::lose_aside(const Uuid& stream) {
  FARSHORE_TRY_ASSIGN(auto connection, connect(stream));
  FARSHORE_TRY(make_own_tables(*connection, soon()));
  FARSHORE_TRY(connection->query("SET synchronous_commit = local", soon()));
  FARSHORE_TRY(
      connection->query("UPDATE farshore.table_state SET state = 'pending', replace = true,"
                        " snapshot = NULL, snapshot_lsn = NULL, at = now()"
                        " WHERE stream = $1::uuid AND aside_from IS NOT NULL"
                        " AND state IN ('copied', 'streaming')",
                        {stream.text()}, soon()));
  return {};
}

Result<void> PostgresCopySink::begin_anew(const Uuid& stream) {
  FARSHORE_TRY_ASSIGN(auto connection, connect(stream));
  FARSHORE_TRY(make_own_tables(*connection, soon()));
  FARSHORE_TRY(connection->query("BEGIN; SET LOCAL synchronous_commit = local", soon()));
  FARSHORE_TRY(
      connection->query("UPDATE farshore.table_state SET state = 'pending', replace = true,"
                        " snapshot = NULL, snapshot_lsn = NULL, aside_from = NULL,"
                        " at = now() WHERE stream = $1::uuid",
                        {stream.text()}, soon()));
  FARSHORE_TRY(
      connection->query("UPDATE farshore.progress SET sequence = 0 WHERE stream = $1::uuid",
                        {stream.text()}, soon()));
  FARSHORE_TRY(connection->query("COMMIT", soon()));
  return {};
}

// The stream's sink passed over changes of these tables without a word in its progress.
Result<void> PostgresCopySink::join(const Uuid& stream, Epoch epoch, Sequence through) {
  FARSHORE_TRY_ASSIGN(auto connection, connect(stream));
  const std::string at = std::to_string(through.value()), of = std::to_string(epoch.value());
  FARSHORE_TRY(connection->query("BEGIN; SET LOCAL synchronous_commit = local", soon()));
  FARSHORE_TRY_ASSIGN(
      const Rows moved,
      connection->query("UPDATE farshore.progress SET sequence = $3::bigint WHERE stream = $1::uuid"
                        " AND epoch = $2::bigint AND sequence <= $3::bigint"
                        " AND NOT EXISTS (SELECT FROM farshore.table_state t WHERE t.stream ="
                        "  $1::uuid AND t.aside_from > $3::bigint"
                        "  AND t.state IN ('copied', 'streaming'))",
                        {stream.text(), of, at}, soon()));
  if (moved.affected() != 1)
    return transient(ErrorKind::conflict,
                     "{}: the stream's sink has not come to {}, or is beyond: copied tables "
                     "join the others once these are applied, which a pause delays",
                     connection->server(), through);
  FARSHORE_TRY(connection->query(
      "UPDATE farshore.table_state SET aside_from = NULL, at = now() WHERE stream = $1::uuid"
      " AND aside_from IS NOT NULL AND state IN ('copied', 'streaming')",
      {stream.text()}, soon()));
  FARSHORE_TRY(connection->query("COMMIT", soon()));
  return {};
}

void PostgresCopySink::tell(const Uuid& stream, const std::string& name,
                            std::string message) const {
  if (events_)
    events_({.severity = Severity::warning,
             .name = name,
             .stream = stream.is_nil() ? std::string() : stream.text(),
             .target = {},
             .message = std::move(message)});
}

}  // namespace

std::unique_ptr<CopySink> make_copy_sink(os::World& world, ConnectOptions connect,
                                         SinkOptions options, EventSink events) {
  return std::make_unique<PostgresCopySink>(world, std::move(connect), std::move(options),
                                            std::move(events));
}

Result<void> remove_target(os::World& world, const ConnectOptions& connect, const Uuid& stream) {
  const SinkOptions options;
  const auto soon = [&] { return world.after(options.control_wait); };
  FARSHORE_TRY_ASSIGN(auto connection,
                      Connection::open(world, connect, world.after(options.connect_wait)));
  FARSHORE_TRY_ASSIGN(const std::string prefix, origin_prefix(*connection, stream, soon()));
  FARSHORE_TRY_ASSIGN(const Rows names, connection->query(kOriginsSql, {prefix}, soon()));
  for (int row = 0; row < names.count(); ++row)
    FARSHORE_TRY(connection->query("SELECT pg_catalog.pg_replication_origin_drop($1)",
                                   {std::string(names.text(row, 0))}, soon()));
  for (const char* table : {"farshore.progress", "farshore.table_state", "farshore.skipped"}) {
    FARSHORE_TRY_ASSIGN(const Rows there,
                        connection->query("SELECT pg_catalog.to_regclass($1) IS NOT NULL",
                                          {std::string(table)}, soon()));
    if (there.text(0, 0) == "t")
      FARSHORE_TRY(connection->query(fmt::format("DELETE FROM {} WHERE stream = $1::uuid", table),
                                     {stream.text()}, soon()));
  }
  return {};
}

}  // namespace farshore::postgres
