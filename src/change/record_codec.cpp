#include "change/record_codec.h"

namespace farshore {
namespace {

constexpr std::uint8_t kFirst = 1, kLast = 2, kStreamed = 4, kContinued = 8;
constexpr std::uint8_t kAllFlags = kFirst | kLast | kStreamed | kContinued;

}  // namespace

std::uint8_t bits_of(const RecordFlags& flags) {
  return static_cast<std::uint8_t>((flags.first ? kFirst : 0) | (flags.last ? kLast : 0) |
                                   (flags.streamed ? kStreamed : 0) |
                                   (flags.continued ? kContinued : 0));
}

std::optional<RecordFlags> flags_of(std::uint64_t bits) {
  if ((bits & ~std::uint64_t{kAllFlags}) != 0) return std::nullopt;
  return RecordFlags{(bits & kFirst) != 0, (bits & kLast) != 0, (bits & kStreamed) != 0,
                     (bits & kContinued) != 0};
}

std::optional<RecordKind> kind_of(std::uint64_t number) {
  const bool known = number >= static_cast<std::uint64_t>(RecordKind::data) &&
                     number <= static_cast<std::uint64_t>(RecordKind::schema);
  return known ? std::optional(static_cast<RecordKind>(number)) : std::nullopt;
}

void encode_record(const Record& record, Bytes& out) {
  FARSHORE_CHECK(record.payload.size() <= kRecordPayloadMax, "payload of {} bytes",
                 record.payload.size());
  FARSHORE_CHECK(record.position.bytes.size() <= kPositionMax, "position of {} bytes",
                 record.position.bytes.size());
  ByteWriter(out)
      .number(kRecordVersion)
      .number(record.kind)
      .number(bits_of(record.flags))
      .number(std::uint8_t{0})
      .number(record.session)
      .number(record.xid)
      .number(record.sub_xid)
      .number(record.changes)
      .number(static_cast<std::int64_t>(record.commit_time.time_since_epoch().count()))
      .string16(record.position.bytes)
      .string32(record.payload);
}

Result<Record> decode_record(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = in.number<std::uint8_t>();
  const auto kind_number = in.number<std::uint8_t>();
  const auto bits = in.number<std::uint8_t>();
  const auto reserved = in.number<std::uint8_t>();
  if (version != kRecordVersion)
    return permanent(ErrorKind::corrupt, "record has version {}, this build reads {}", version,
                     kRecordVersion);
  const auto kind = kind_of(kind_number);
  if (!kind) return permanent(ErrorKind::corrupt, "record has the unknown kind {}", kind_number);
  const auto flags = flags_of(bits);
  if (!flags || reserved != 0)
    return permanent(ErrorKind::corrupt, "record has unknown flags {:#x}", bits);
  Record record;
  record.kind = *kind;
  record.flags = *flags;
  record.session = in.number<std::uint32_t>();
  record.xid = in.number<std::uint64_t>();
  record.sub_xid = in.number<std::uint64_t>();
  record.changes = in.number<std::uint32_t>();
  record.commit_time = WallTime(Duration(in.number<std::int64_t>()));
  record.position.bytes = in.string16();
  const ByteView payload = in.string32();
  if (!in.finished())
    return permanent(ErrorKind::corrupt, "record of {} bytes does not end where it says",
                     bytes.size());
  if (record.position.bytes.size() > kPositionMax || payload.size() > kRecordPayloadMax)
    return permanent(ErrorKind::corrupt, "record of {} bytes is over its limits", bytes.size());
  record.payload = payload;
  return record;
}

}  // namespace farshore
