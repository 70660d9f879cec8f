// Any bytes as a block of records: refused, or read and written again to the same bytes.
#include <cstdint>
#include <cstdlib>

#include "change/record_block.h"

using namespace farshore;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto records = decode_block(bytes)) {
    Bytes again;
    encode_block(*records, again);
    if (again != bytes) std::abort();
  }
  return 0;
}
