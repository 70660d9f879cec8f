// One transaction's messages, as PostgresSink reads them: relations are learned, changes laid upon
// the target's tables.
#include <algorithm>

#include "change/remedy.h"
#include "engine/postgres/sink.h"
#include "engine/postgres/statements.h"

namespace farshore::postgres {
namespace {

void unpack(const Tuple& tuple, std::vector<Value>& out) {
  out.clear();
  for (TupleReader reader(tuple); auto value = reader.next();) out.push_back(*value);
}

bool lies_within(ByteView inner, ByteView outer) {
  return inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size();
}

}  // namespace

void PostgresSink::begin_item(const CursorItem& item) {
  item_ = item;
  reader_.reset();
  in_stream_ = false;
  if (auto commit = Lsn::from(item.position); commit.ok()) gates_.reach(*commit);
}

Result<void> PostgresSink::feed(const Part& part, Mode mode) {
  FARSHORE_TRY(reader_.feed(part.payload, part.continued));
  for (;;) {
    FARSHORE_TRY_ASSIGN(const std::optional<ByteView> message, reader_.next());
    if (!message) return {};
    FARSHORE_TRY(handle(*message, mode));
    // A message that was cut lies in the reader's buffer, which the next one overwrites.
    if (mode == Mode::sets && !lies_within(*message, part.payload))
      FARSHORE_TRY(sets_->flush_collected());
    if (session_->pipeline().failed()) return {};
  }
}

Result<void> PostgresSink::feed_large(TransactionCursor& cursor, const CursorItem& item,
                                      Mode mode) {
  begin_item(item);
  while (!session_->pipeline().failed()) {
    FARSHORE_TRY_ASSIGN(std::optional<PlacedRecord> placed, cursor.next_record());
    if (!placed) break;
    const bool continued = placed->record.flags.continued;
    FARSHORE_TRY(feed({buffered_.keep(std::move(placed->record.payload)), continued}, mode));
    if (buffered_.bytes < options_.group_bytes_max) continue;
    FARSHORE_TRY(sets_->flush_collected());
    buffered_.clear();
  }
  if (mode == Mode::sets) FARSHORE_TRY(sets_->flush());
  buffered_.clear();
  return {};
}

Result<void> PostgresSink::learn_only(TransactionCursor& cursor, const CursorItem& item) {
  begin_item(item);
  for (;;) {
    FARSHORE_TRY_ASSIGN(const std::optional<PlacedRecord> placed, cursor.next_record());
    if (!placed) break;
    FARSHORE_TRY(reader_.feed(placed->record.payload, placed->record.flags.continued));
    for (;;) {
      FARSHORE_TRY_ASSIGN(const std::optional<ByteView> message, reader_.next());
      if (!message) break;
      FARSHORE_TRY(learn_from(*message));
    }
  }
  relations_.keep_group();
  return {};
}

Result<void> PostgresSink::learn_from(ByteView bytes) {
  const auto type = static_cast<MessageType>(bytes.empty() ? '\0' : bytes.front());
  if (type == MessageType::stream_start) in_stream_ = true;
  if (type == MessageType::stream_stop) in_stream_ = false;
  if (type != MessageType::relation && type != MessageType::type) return {};
  FARSHORE_TRY_ASSIGN(const Message message, decode(bytes, in_stream_));
  if (const auto* relation = std::get_if<Relation>(&message);
      relation && !has_no_effect(relation->xid))
    relations_.learn(*relation);
  if (const auto* of_type = std::get_if<Type>(&message)) relations_.learn(*of_type);
  return {};
}

bool PostgresSink::has_no_effect(std::uint32_t xid) const {
  const auto& aborted = item_.aborted_sub_xids;
  return xid != 0 && !aborted.empty() && std::binary_search(aborted.begin(), aborted.end(), xid);
}

Result<void> PostgresSink::handle(ByteView bytes, Mode mode) {
  FARSHORE_TRY_ASSIGN(const Message message, decode(bytes, in_stream_));
  if (const auto* insert = std::get_if<Insert>(&message)) {
    if (has_no_effect(insert->xid)) return {};
    return change({.op = RowOp::insert}, insert->relation, {}, insert->row, mode);
  }
  if (const auto* update = std::get_if<Update>(&message)) {
    if (has_no_effect(update->xid)) return {};
    return change({.op = RowOp::update, .old_kind = update->old_kind}, update->relation,
                  update->old_row, update->row, mode);
  }
  if (const auto* remove = std::get_if<Delete>(&message)) {
    if (has_no_effect(remove->xid)) return {};
    return change({.op = RowOp::remove, .old_kind = remove->old_kind}, remove->relation,
                  remove->old_row, {}, mode);
  }
  if (const auto* relation = std::get_if<Relation>(&message))
    return has_no_effect(relation->xid) ? Result<void>() : learn_relation(*relation, mode);
  if (const auto* type = std::get_if<Type>(&message)) relations_.learn(*type);
  if (const auto* of_tables = std::get_if<Truncate>(&message))
    return has_no_effect(of_tables->xid) ? Result<void>() : truncate(*of_tables, mode);
  if (std::holds_alternative<StreamStart>(message)) in_stream_ = true;
  if (std::holds_alternative<StreamStop>(message)) in_stream_ = false;
  return {};
}

Result<void> PostgresSink::learn_relation(const Relation& relation, Mode mode) {
  // Rows of the same table as it was and as it is must not be collected side by side.
  if (relations_.learn(relation) && mode == Mode::sets) return sets_->flush();
  return {};
}

Result<void> PostgresSink::change(const RowChange& what, std::uint32_t relation,
                                  const Tuple& old_row, const Tuple& row, Mode mode) {
  RowChange change = what;
  FARSHORE_TRY_ASSIGN(change.relation, relation_of(relation));
  if (!change.relation) return {};
  unpack(old_row, old_row_);
  unpack(row, row_);
  change.old_row = old_row_;
  change.row = row_;
  FARSHORE_TRY(session_->begin());
  return mode == Mode::sets ? sets_->write(change) : rows_->write(change, true);
}

Result<void> PostgresSink::truncate(const Truncate& message, Mode mode) {
  std::vector<std::shared_ptr<const MappedRelation>> relations;
  std::vector<const TargetRelation*> tables;
  bool all = true;
  for (const std::uint32_t oid : message.relations) {
    FARSHORE_TRY_ASSIGN(auto relation, relation_of(oid));
    all &= relation != nullptr;
    if (!relation) continue;
    tables.push_back(&relation->target);
    relations.push_back(std::move(relation));
  }
  if (tables.empty()) return {};
  FARSHORE_TRY(session_->begin());
  if (mode == Mode::sets) FARSHORE_TRY(sets_->flush());
  for (const std::string& sql : open_with_rows(stream_))
    FARSHORE_TRY(session_->pipeline().run(sql));
  if (all)
    return session_->pipeline().run(
        truncate_statement(tables, message.restart_identity),
        std::make_shared<RowTrace>(RowTrace{.op = RowOp::truncate, .relation = relations.front()}));
  // The one that is left out (it is being copied, or its copy shows this already) may refer to the
  // others, and TRUNCATE of less than all of them would be refused for good.
  for (const auto& relation : relations)
    for (const std::string& sql : empty_statements(relation->target, message.restart_identity))
      FARSHORE_TRY(session_->pipeline().run(
          sql, std::make_shared<RowTrace>(RowTrace{.op = RowOp::truncate, .relation = relation})));
  return {};
}

Result<std::shared_ptr<const MappedRelation>> PostgresSink::relation_of(std::uint32_t oid) {
  FARSHORE_TRY_ASSIGN(RelationMap::Entry * entry, relations_.find(oid));
  if (!entry->gate.known) entry->gate = gates_.find(entry->source.quoted(), oid);
  switch (gates_.ask(entry->gate, item_.xid, item_.place.sequence)) {
    case GateAnswer::drop:
      return std::shared_ptr<const MappedRelation>();
    case GateAnswer::hold:
      return transient(ErrorKind::conflict,
                       "table {} is not copied yet: its changes and all behind them wait for that",
                       entry->source.quoted());
    case GateAnswer::other_table:
      return transient(
          ErrorKind::conflict,
          "table {0} is another one at the source than when it was copied (it was made "
          "again, or renamed): its changes and all behind them wait until it is copied again, "
          "which begins within a minute; if not, another table bore its name only in between "
          "(swapped there and back), which the source cannot see: {1}",
          entry->source.quoted(),
          stream_command(options_.leg, "resnapshot", {"--table", entry->source.quoted()}));
    case GateAnswer::other_name: {
      const std::string now = gates_.name_now(oid);
      return transient(
          ErrorKind::conflict,
          "table {0} had the name {1} for a while at the source: its changes under that name, and "
          "all behind them, wait until it is copied again{2}",
          now, entry->source.quoted(),
          to_do(stream_command(options_.leg, "resnapshot", {"--table", now})));
    }
    case GateAnswer::apply:
      break;
  }
  if (!entry->mapped) FARSHORE_TRY(map(*entry));
  return entry->mapped;
}

Result<void> PostgresSink::map(RelationMap::Entry& entry) {
  Pipeline& pipeline = session_->pipeline();
  FARSHORE_TRY(sets_->flush());  // no question can be asked within a COPY
  FARSHORE_TRY_ASSIGN(const bool clear, pipeline.drain());
  if (!clear) return {};
  const SourceRelation& source = entry.source;
  FARSHORE_TRY_ASSIGN(
      std::optional<TargetRelation> target,
      read_target_relation(pipeline, source.schema, source.name, session_->replica_role()));
  const TypeText type_text = [&](const SourceColumn& column) -> std::string {
    if (std::string own = own_type_text(column, relations_.types()); !own.empty()) return own;
    auto text = target_type_text(pipeline, column.type, column.modifier);
    return text.ok() ? *text : std::string("…");
  };
  if (!target) return missing_table(source, type_text);
  FARSHORE_TRY_ASSIGN(
      MappedRelation mapped,
      map_relation(source, *std::move(target), relations_.types(), type_text, options_.leg));
  mapped.id = ++mappings_;
  entry.mapped = std::make_shared<const MappedRelation>(std::move(mapped));
  return {};
}

}  // namespace farshore::postgres
