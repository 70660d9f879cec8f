// The bytes of a record: what the running hash is taken over and what a journal stores; a link
// ships blocks of them. Twins: encode_record and decode_record. Format: docs/formats/record.md,
// version kRecordVersion.
#pragma once

#include "base/result.h"
#include "change/record.h"

namespace farshore {

constexpr std::uint8_t kRecordVersion = 1;

void encode_record(const Record& record, Bytes& out);  // appends
Result<Record> decode_record(ByteView bytes);  // corrupt: names the field; takes exactly all bytes

}  // namespace farshore
