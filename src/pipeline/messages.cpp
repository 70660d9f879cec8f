#include "pipeline/messages.h"

#include "change/record_block.h"

namespace farshore::pipeline {
namespace {

constexpr std::uint8_t kMessageVersion = 1;

// What travels as the number of one of several words.
template <class T>
struct Word;
template <>
struct Word<ErrorKind> {
  static constexpr const char* kName = "error kind";
  static constexpr ErrorKind kLast = ErrorKind::not_found;
};
template <>
struct Word<Retry> {
  static constexpr const char* kName = "retry";
  static constexpr Retry kLast = Retry::yes;
};
template <>
struct Word<ExistingRows> {
  static constexpr const char* kName = "policy for existing rows";
  static constexpr ExistingRows kLast = ExistingRows::replace;
};
template <>
struct Word<TableState> {
  static constexpr const char* kName = "state of a table";
  static constexpr TableState kLast = TableState::streaming;
};
template <>
struct Word<State> {
  static constexpr const char* kName = "state of a leg";
  static constexpr State kLast = State::failed;
};

// Archive is Saver or Loader: each message lists its fields once, in wire order.
class Saver {
 public:
  explicit Saver(Bytes& out) : out_(out) {}
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void field(const T& value) {
    ByteWriter(out_).number(value);
  }
  void field(const std::string& text) { ByteWriter(out_).string32(text); }
  void field(const Uuid& uuid) {
    ByteWriter(out_).raw({reinterpret_cast<const char*>(uuid.bytes.data()), 16});
  }
  template <class Tag>
  void field(const Ordinal<Tag>& ordinal) {
    field(ordinal.value());
  }
  void field(const WallTime& time) {
    field(static_cast<std::int64_t>(time.time_since_epoch().count()));
  }
  void field(const Position& position) { field(position.bytes); }
  template <class T>
  void added(const T& value) {
    field(value);
  }
  void field(const std::vector<PlacedRecord>& records) {
    Bytes block;
    encode_block(records, block);
    field(block);
  }
  template <class T>
  void field(const std::vector<T>& list);
  template <class T>
    requires std::is_class_v<T>
  void field(const T& value);

 private:
  Bytes& out_;
};

class Loader {
 public:
  explicit Loader(ByteView in) : in_(in) {}
  template <class T>
    requires std::is_integral_v<T>
  void field(T& value) {
    value = in_.number<T>();
  }
  template <class T>
    requires std::is_enum_v<T>
  void field(T& value) {
    using Number = std::make_unsigned_t<std::underlying_type_t<T>>;
    constexpr auto kLast = static_cast<Number>(Word<T>::kLast);
    const auto number = in_.number<Number>();
    if (number <= kLast)
      value = static_cast<T>(number);
    else
      refuse(permanent(ErrorKind::corrupt, "its {} is {}, this build knows 0 to {}", Word<T>::kName,
                       number, kLast));
  }
  void field(bool& value) { value = in_.number<std::uint8_t>() != 0; }
  void field(std::string& text) { text = in_.string32(); }
  void field(Uuid& uuid) {
    const ByteView bytes = in_.raw(16);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(uuid.bytes.data()));
  }
  template <class Tag>
  void field(Ordinal<Tag>& ordinal) {
    ordinal = Ordinal<Tag>(in_.number<std::uint64_t>());
  }
  void field(WallTime& time) { time = WallTime(Duration(in_.number<std::int64_t>())); }
  void field(Position& position) { field(position.bytes); }
  // An older build ends the message before it.
  template <class T>
  void added(T& value) {
    if (in_.left() > 0) field(value);
  }
  void field(std::vector<PlacedRecord>& records) {
    auto decoded = decode_block(in_.string32());
    if (decoded.ok())
      records = *std::move(decoded);
    else if (!in_.failed())
      refuse(std::move(decoded).error());
  }
  template <class T>
  void field(std::vector<T>& list);
  template <class T>
    requires std::is_class_v<T>
  void field(T& value);

  Result<void> finished(std::size_t index) const {
    if (why_) return within(fmt::format("a message of type {}", index), *why_);
    if (bad_ || in_.failed())  // what is left is of a newer minor version
      return permanent(ErrorKind::corrupt, "a message of type {} that does not parse", index);
    return {};
  }

 private:
  void refuse(Error why) {
    if (!why_) why_ = std::move(why);
  }

  ByteReader in_;
  bool bad_ = false;
  std::optional<Error> why_;
};

template <class A, class... F>
void all(A& archive, F&... fields) {
  (archive.field(fields), ...);
}

#define FARSHORE_FIELDS(Type, ...)                        \
  template <class A, class M>                             \
    requires std::is_same_v<std::remove_const_t<M>, Type> \
  void fields_of(A& a, M& m) {                            \
    all(a __VA_OPT__(, ) __VA_ARGS__);                    \
    (void)m;                                              \
    (void)a;                                              \
  }

FARSHORE_FIELDS(Place, m.epoch, m.sequence)
FARSHORE_FIELDS(journal::EpochEntry, m.epoch, m.first, m.identity)
FARSHORE_FIELDS(SourceTable, m.name, m.rows, m.bytes, m.membership, m.definition)
FARSHORE_FIELDS(TargetTable, m.name, m.state, m.rows_copied)
FARSHORE_FIELDS(Hello, m.stream, m.name, m.epoch, m.definition)
FARSHORE_FIELDS(Welcome, m.stream, m.durable, m.hash, m.position, m.commit_time, m.session,
                m.promised, m.history, m.copied)
FARSHORE_FIELDS(Refuse, m.kind, m.retry, m.what)
FARSHORE_FIELDS(Begin, m.next, m.hash_before, m.history)
FARSHORE_FIELDS(Records, m.records)
FARSHORE_FIELDS(Fetch, m.first, m.last)
FARSHORE_FIELDS(Fetched, m.records)
FARSHORE_FIELDS(Verb, m.stream, m.epoch, m.name, m.argument)
FARSHORE_FIELDS(VerbDone, m.error)
FARSHORE_FIELDS(Prepare, m.stream, m.shared_definitions, m.tables, m.existing)
FARSHORE_FIELDS(Prepared, m.tables)
FARSHORE_FIELDS(CopyDone)
FARSHORE_FIELDS(Completed)
FARSHORE_FIELDS(TableBegin, m.stream, m.table)
FARSHORE_FIELDS(Chunk, m.bytes)
FARSHORE_FIELDS(TableEnd, m.mark, m.rows)
FARSHORE_FIELDS(TableCopied)
FARSHORE_FIELDS(CopyAsk, m.tables, m.through)
FARSHORE_FIELDS(CopyMissing, m.tables, m.first)
FARSHORE_FIELDS(Overtaken, m.why)
#undef FARSHORE_FIELDS

template <class A, class M>
  requires std::is_same_v<std::remove_const_t<M>, Ack>
void fields_of(A& a, M& m) {
  all(a, m.durable, m.applied, m.durable_commit_time, m.applied_commit_time, m.applied_transactions,
      m.applied_changes, m.state, m.reason, m.remedy, m.resumes);
  a.added(m.pause_at);
}

template <class T>
void Saver::field(const std::vector<T>& list) {
  FARSHORE_CHECK(list.size() <= kListMax, "a message lists {} elements", list.size());
  field(static_cast<std::uint32_t>(list.size()));
  for (const T& element : list) field(element);
}

template <class T>
  requires std::is_class_v<T>
void Saver::field(const T& value) {
  fields_of(*this, value);
}

template <class T>
void Loader::field(std::vector<T>& list) {
  const auto count = in_.number<std::uint32_t>();
  if (count > kListMax || count > in_.left()) bad_ = true;
  for (std::uint32_t i = 0; !bad_ && !in_.failed() && i < count; ++i) field(list.emplace_back());
}

template <class T>
  requires std::is_class_v<T>
void Loader::field(T& value) {
  fields_of(*this, value);
}

template <std::size_t I = 0>
Result<Message> decode_as(std::size_t index, ByteView body) {
  if constexpr (I == std::variant_size_v<Message>) {
    return permanent(ErrorKind::corrupt, "a message of the unknown type {}", index);
  } else {
    if (index != I) return decode_as<I + 1>(index, body);
    std::variant_alternative_t<I, Message> message;
    Loader loader(body);
    loader.field(message);
    FARSHORE_TRY(loader.finished(index));
    return Message(std::move(message));
  }
}

}  // namespace

Bytes encode(const Message& message) {
  Bytes out;
  ByteWriter(out).number(kMessageVersion).number(static_cast<std::uint8_t>(message.index()));
  Saver saver(out);
  std::visit([&](const auto& body) { saver.field(body); }, message);
  return out;
}

Result<Message> decode(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = in.number<std::uint8_t>();
  const auto index = in.number<std::uint8_t>();
  if (in.failed() || version != kMessageVersion)
    return permanent(ErrorKind::corrupt, "a message of version {}, this build reads {}", version,
                     kMessageVersion);
  return decode_as(index, in.rest());
}

}  // namespace farshore::pipeline
