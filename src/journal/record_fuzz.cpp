// Any bytes as a record, and as the small state files: refused, or read and written again to the
// same bytes.
#include <cstdint>
#include <cstdlib>

#include "change/record_codec.h"
#include "journal/consumers.h"
#include "journal/epoch_history.h"
#include "journal/scrub_place.h"
#include "journal/segment_format.h"
#include "journal/segment_index.h"

using namespace farshore;
using namespace farshore::journal;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto record = decode_record(bytes)) {
    Bytes again;
    encode_record(*record, again);
    require(again == bytes);
    Tail tail;
    note_tail(bytes, tail);
    require(tail.position == record->position);
  }
  if (const auto header = decode_segment_header(bytes))
    require(bytes.starts_with(encode_segment_header(*header)));
  if (const auto history = decode_history(bytes)) require(encode_history(*history) == bytes);
  if (const auto index = decode_segment_index(bytes)) (void)encode_segment_index(*index);
  if (const auto consumers = decode_consumers(bytes)) (void)encode_consumers(*consumers);
  if (const auto scrubbed = decode_scrub_place(bytes))
    require(encode_scrub_place(*scrubbed) == bytes);
  return 0;
}
