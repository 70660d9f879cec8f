// The bytes of several records that follow each other, as a link ships them: field by field, not
// record by record, so that what is alike lies together and compresses. Only the first and the last
// running hash travel; those between are computed when read. Twins: encode_block and decode_block.
// Format: docs/formats/record-block.md.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "change/record.h"

namespace farshore {

constexpr std::size_t kBlockRecordsMax = 100'000;

// Appends. The records' sequences are dense, and each hash continues the one before it.
void encode_block(std::span<const PlacedRecord> records, Bytes& out);

// Takes exactly all bytes. corrupt: over a limit, or the records do not lead from the first hash to
// the last; names the range. Whether the first hash is right, only who holds the record before can
// say.
Result<std::vector<PlacedRecord>> decode_block(ByteView bytes);

}  // namespace farshore
