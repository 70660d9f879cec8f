// The bytes of a record: what the running hash is taken over and what a journal stores; a link
// ships blocks of them. Twins: encode_record and decode_record. Format: docs/formats/record.md,
// version kRecordVersion.
#pragma once

#include <optional>

#include "base/result.h"
#include "change/record.h"

namespace farshore {

constexpr std::uint8_t kRecordVersion = 1;

// Kind and flags as numbers, in a record and in a block alike; nullopt: of a newer version.
std::uint8_t bits_of(const RecordFlags& flags);
std::optional<RecordFlags> flags_of(std::uint64_t bits);
std::optional<RecordKind> kind_of(std::uint64_t number);

void encode_record(const Record& record, Bytes& out);  // appends
Result<Record> decode_record(ByteView bytes);  // corrupt: names the field; takes exactly all bytes

}  // namespace farshore
