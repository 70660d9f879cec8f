#include "engine/postgres/pgoutput.h"

#include <type_traits>

namespace farshore::postgres {
namespace {

// Big-endian numbers and NUL-terminated names; never passes the end: a short input gives zeros and
// sets failed().
class NetworkReader {
 public:
  explicit NetworkReader(ByteView in) : in_(in) {}

  template <class Integer>
  Integer number() {
    using Unsigned = std::make_unsigned_t<Integer>;
    const ByteView bytes = raw(sizeof(Integer));
    Unsigned value = 0;
    for (char byte : bytes)
      value = static_cast<Unsigned>(value << 8 | static_cast<std::uint8_t>(byte));
    return static_cast<Integer>(value);
  }
  char letter() {
    const ByteView byte = raw(1);
    return byte.empty() ? '\0' : byte.front();
  }
  std::string_view name() {
    const std::size_t end = in_.find('\0');
    if (end == ByteView::npos) return fail();
    const std::string_view text = in_.substr(0, end);
    in_.remove_prefix(end + 1);
    return text;
  }
  ByteView raw(std::size_t count) {
    if (count > in_.size()) return fail();
    const ByteView bytes = in_.substr(0, count);
    in_.remove_prefix(count);
    return bytes;
  }
  Lsn lsn() { return Lsn(number<std::uint64_t>()); }
  WallTime time() { return from_server_time(number<std::int64_t>()); }

  ByteView left() const { return in_; }
  bool finished() const { return !failed_ && in_.empty(); }
  bool failed() const { return failed_; }
  ByteView fail() {
    failed_ = true;
    in_ = {};
    return {};
  }

 private:
  ByteView in_;
  bool failed_ = false;
};

// Times near the ends of int64 microseconds do not fit nanoseconds: no commit has them.
bool plausible_time(ByteView message, std::size_t offset) {
  NetworkReader reader(message);
  (void)reader.raw(offset);
  const auto microseconds = reader.number<std::int64_t>();
  constexpr std::int64_t kMax = 8'000'000'000'000'000;  // about 250 years
  return microseconds > -kMax && microseconds < kMax;
}

Tuple read_tuple(NetworkReader& in) {
  const auto columns = in.number<std::uint16_t>();
  const ByteView start = in.left();
  for (std::uint16_t i = 0; i < columns && !in.failed(); ++i) {
    switch (static_cast<ValueKind>(in.letter())) {
      case ValueKind::null:
      case ValueKind::unchanged:
        break;
      case ValueKind::text:
      case ValueKind::binary:
        (void)in.raw(in.number<std::uint32_t>());
        break;
      default:
        (void)in.fail();
    }
  }
  return {columns, start.substr(0, start.size() - in.left().size())};
}

std::uint32_t stream_xid(NetworkReader& in, bool in_stream) {
  return in_stream ? in.number<std::uint32_t>() : 0;
}

Relation read_relation(NetworkReader& in, bool in_stream) {
  Relation out;
  out.xid = stream_xid(in, in_stream);
  out.oid = in.number<std::uint32_t>();
  out.schema = in.name();
  if (out.schema.empty()) out.schema = "pg_catalog";
  out.name = in.name();
  out.replica_identity = in.letter();
  const auto columns = in.number<std::uint16_t>();
  constexpr std::size_t kColumnBytesMin = 10;
  if (columns * kColumnBytesMin > in.left().size()) return (void)in.fail(), out;
  out.columns.reserve(columns);
  for (std::uint16_t i = 0; i < columns; ++i) {
    RelationColumn& column = out.columns.emplace_back();
    column.key = (in.number<std::uint8_t>() & 1) != 0;
    column.name = in.name();
    column.type_oid = in.number<std::uint32_t>();
    column.type_modifier = in.number<std::int32_t>();
  }
  return out;
}

Update read_update(NetworkReader& in, bool in_stream) {
  Update out;
  out.xid = stream_xid(in, in_stream);
  out.relation = in.number<std::uint32_t>();
  char part = in.letter();
  if (part == 'K' || part == 'O') {
    out.old_kind = static_cast<OldTuple>(part);
    out.old_row = read_tuple(in);
    part = in.letter();
  }
  if (part != 'N') (void)in.fail();
  out.row = read_tuple(in);
  return out;
}

Delete read_delete(NetworkReader& in, bool in_stream) {
  Delete out;
  out.xid = stream_xid(in, in_stream);
  out.relation = in.number<std::uint32_t>();
  const char part = in.letter();
  if (part != 'K' && part != 'O') (void)in.fail();
  out.old_kind = static_cast<OldTuple>(part);
  out.old_row = read_tuple(in);
  return out;
}

Insert read_insert(NetworkReader& in, bool in_stream) {
  Insert out;
  out.xid = stream_xid(in, in_stream);
  out.relation = in.number<std::uint32_t>();
  if (in.letter() != 'N') (void)in.fail();
  out.row = read_tuple(in);
  return out;
}

Truncate read_truncate(NetworkReader& in, bool in_stream) {
  Truncate out;
  out.xid = stream_xid(in, in_stream);
  const auto count = in.number<std::uint32_t>();
  const auto flags = in.number<std::uint8_t>();
  out.cascade = (flags & 1) != 0;
  out.restart_identity = (flags & 2) != 0;
  if (count > in.left().size() / sizeof(std::uint32_t)) return (void)in.fail(), out;
  out.relations.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) out.relations.push_back(in.number<std::uint32_t>());
  return out;
}

Logical read_logical(NetworkReader& in, bool in_stream) {
  Logical out;
  out.xid = stream_xid(in, in_stream);
  out.transactional = in.number<std::uint8_t>() != 0;
  out.lsn = in.lsn();
  out.prefix = in.name();
  out.content = in.raw(in.number<std::uint32_t>());
  return out;
}

StreamAbort read_abort(NetworkReader& in) {
  StreamAbort out;
  out.xid = in.number<std::uint32_t>();
  out.sub_xid = in.number<std::uint32_t>();
  // Protocol 4 with streaming 'parallel' adds LSN and time of the abort.
  if (!in.left().empty()) (void)in.raw(16);
  return out;
}

// Wrong order of evaluation would read fields out of order: one statement each.
Commit read_commit(NetworkReader& in) {
  Commit out;
  (void)in.number<std::uint8_t>();  // flags, none defined
  out.commit_lsn = in.lsn();
  out.end_lsn = in.lsn();
  out.commit_time = in.time();
  return out;
}

Message read_message(MessageType type, NetworkReader& in, bool in_stream) {
  switch (type) {
    case MessageType::begin: {
      Begin out;
      out.final_lsn = in.lsn();
      out.commit_time = in.time();
      out.xid = in.number<std::uint32_t>();
      return out;
    }
    case MessageType::commit:
      return read_commit(in);
    case MessageType::origin: {
      Origin out;
      out.commit_lsn = in.lsn();
      out.name = in.name();
      return out;
    }
    case MessageType::relation:
      return read_relation(in, in_stream);
    case MessageType::type: {
      Type out;
      out.xid = stream_xid(in, in_stream);
      out.oid = in.number<std::uint32_t>();
      out.schema = in.name();
      if (out.schema.empty()) out.schema = "pg_catalog";
      out.name = in.name();
      return out;
    }
    case MessageType::insert:
      return read_insert(in, in_stream);
    case MessageType::update:
      return read_update(in, in_stream);
    case MessageType::remove:
      return read_delete(in, in_stream);
    case MessageType::truncate:
      return read_truncate(in, in_stream);
    case MessageType::logical:
      return read_logical(in, in_stream);
    case MessageType::stream_start: {
      StreamStart out;
      out.xid = in.number<std::uint32_t>();
      out.first_segment = in.number<std::uint8_t>() != 0;
      return out;
    }
    case MessageType::stream_stop:
      return StreamStop{};
    case MessageType::stream_commit: {
      StreamCommit out;
      out.xid = in.number<std::uint32_t>();
      const Commit commit = read_commit(in);
      out.commit_lsn = commit.commit_lsn;
      out.end_lsn = commit.end_lsn;
      out.commit_time = commit.commit_time;
      return out;
    }
    case MessageType::stream_abort:
      return read_abort(in);
  }
  (void)in.fail();
  return StreamStop{};
}

bool is_known(char type) {
  return type != '\0' && std::string_view("BCORYIUDTMSEcA").find(type) != std::string_view::npos;
}

bool has_plausible_time(MessageType type, ByteView message) {
  switch (type) {
    case MessageType::begin:
      return plausible_time(message, 1 + 8);
    case MessageType::commit:
      return plausible_time(message, 1 + 1 + 8 + 8);
    case MessageType::stream_commit:
      return plausible_time(message, 1 + 4 + 1 + 8 + 8);
    default:
      return true;
  }
}

}  // namespace

std::optional<Value> TupleReader::next() {
  if (left_ == 0) return std::nullopt;
  --left_;
  NetworkReader in(bytes_);
  Value value{static_cast<ValueKind>(in.letter()), {}};
  if (value.kind == ValueKind::text || value.kind == ValueKind::binary)
    value.bytes = in.raw(in.number<std::uint32_t>());
  bytes_ = in.left();
  return value;
}

Result<Message> decode(ByteView message, bool in_stream) {
  if (message.empty() || !is_known(message.front()))
    return permanent(ErrorKind::corrupt, "pgoutput message of unknown type 0x{:02x}, {} bytes",
                     message.empty() ? 0 : static_cast<std::uint8_t>(message.front()),
                     message.size());
  const auto type = static_cast<MessageType>(message.front());
  NetworkReader in(message.substr(1));
  if (has_plausible_time(type, message)) {
    Message out = read_message(type, in, in_stream);
    if (in.finished()) return out;
  }
  return permanent(
      ErrorKind::corrupt,
      "pgoutput message '{}' of {} bytes does not have its format (in a stream block: {})",
      message.front(), message.size(), in_stream ? "yes" : "no");
}

}  // namespace farshore::postgres
