// Whatever a peer says on a channel or in a keepalive, and whatever lies in this end's small files:
// what is read is written back the same, and nothing is allocated that the bytes do not pay for.
#include "base/check.h"
#include "base/checksum.h"
#include "pipeline/capture_states.h"
#include "pipeline/log_counts.h"
#include "pipeline/messages.h"
#include "pipeline/stream_file.h"
#include "pipeline/totals.h"

using namespace farshore;
using namespace farshore::pipeline;

namespace {

// `read` and `write`: the twins of one format.
template <class Read, class Write>
void reads_as_it_writes(ByteView input, const Read& read, const Write& write) {
  const auto first = read(input);
  if (!first.ok()) return;
  const Bytes bytes = write(*first);
  const auto again = read(bytes);
  FARSHORE_CHECK(again.ok() && write(*again) == bytes, "twins differ");
}

Result<StreamFile> read_stream_file(ByteView bytes) {
  return decode_stream_file(bytes, "stream.file");
}

void read_checksummed(ByteView input) {
  reads_as_it_writes(input, decode_totals, encode_totals);
  reads_as_it_writes(input, decode_capture_states, encode_capture_states);
  reads_as_it_writes(input, decode_counts, encode_counts);
  reads_as_it_writes(input, read_stream_file, encode_stream_file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  reads_as_it_writes(input, decode, encode);
  read_checksummed(input);
  // No mutation guesses a checksum: the same bytes once more, with the right one at their end.
  if (size < sizeof(std::uint32_t)) return 0;
  Bytes mended(input.substr(0, size - sizeof(std::uint32_t)));
  ByteWriter(mended).number(crc32c(mended));
  read_checksummed(mended);
  return 0;
}
