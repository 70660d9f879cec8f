#include <gtest/gtest.h>

#include "change/record_codec.h"

namespace farshore {
namespace {

Record sample() {
  return {.kind = RecordKind::data,
          .flags = {.first = true, .last = true, .streamed = false, .continued = false},
          .session = 3,
          .xid = 77,
          .sub_xid = 0,
          .changes = 2,
          .commit_time = WallTime(1700000000s),
          .position = {"\x01\x02"},
          .payload = "payload"};
}

TEST(RecordCodec, ReadsWhatItWrites) {
  Bytes bytes;
  encode_record(sample(), bytes);
  EXPECT_EQ(*decode_record(bytes), sample());
}

TEST(RecordCodec, RefusesEveryTruncation) {
  Bytes bytes;
  encode_record(sample(), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_record(ByteView(bytes).substr(0, size)).ok()) << size;
  EXPECT_FALSE(decode_record(bytes + "x").ok());
}

TEST(RecordCodec, RefusesUnknownVersionKindAndFlags) {
  Bytes bytes;
  encode_record(sample(), bytes);
  for (std::size_t field : {0, 1, 2, 3}) {
    Bytes bad = bytes;
    bad[field] = '\x7f';
    EXPECT_FALSE(decode_record(bad).ok()) << field;
  }
}

}  // namespace
}  // namespace farshore
