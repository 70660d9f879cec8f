// Any bytes as the newest segment of a journal: it opens or says why not, what it holds can be read
// to its end or to a named damage, it takes a new record, and opens again. The first byte chooses
// whether checksums are put right, so that the fuzzer gets behind them.
#include <cstdint>
#include <cstdlib>

#include "base/checksum.h"
#include "journal/fake_disk.h"
#include "journal/inspect.h"
#include "journal/journal.h"
#include "journal/segment_format.h"

using namespace farshore;
using namespace farshore::journal;

namespace {

const std::string kFolder = "/journal";

void require(bool condition) {
  if (!condition) std::abort();
}

void put_crc(Bytes& bytes, std::size_t at, ByteView covered) {
  const std::uint32_t crc = crc32c(covered);
  std::memcpy(bytes.data() + at, &crc, sizeof crc);
}

void put_checksums_right(Bytes& bytes) {
  if (bytes.size() < kSegmentHeaderMin) return;
  std::uint32_t header = 0;
  std::memcpy(&header, bytes.data() + 12, sizeof header);
  if (header < kSegmentHeaderMin || header > bytes.size()) return;
  put_crc(bytes, header - 4, ByteView(bytes).substr(0, header - 4));
  for (std::size_t at = header; at + kFrameHeaderBytes <= bytes.size();) {
    const std::size_t size =
        frame_bytes(decode_frame_header(ByteView(bytes).substr(at, kFrameHeaderBytes)).encoded);
    if (at + size > bytes.size()) return;
    put_crc(bytes, at, ByteView(bytes).substr(at + 4, size - 4));
    at += size;
  }
}

void use(MemoryWorld& world) {
  Options options;
  options.free_bytes_min = 0;
  const auto opened = Journal::open(world, kFolder, options, {});
  if (!opened) return;
  Journal& journal = **opened;
  const Sequence end = journal.status().durable.sequence;
  auto reader = journal.reader(journal.status().first.sequence);
  while (reader.ok() && (*reader)->position() <= end) {
    const auto records = (*reader)->next(1_MiB, Deadline::passed());
    if (!records) break;
    require(!records->empty());
  }
  Record record;
  record.payload = "more";
  const auto place = journal.append(std::span(&record, 1), world.after(1s));
  if (place) require(journal.wait_durable(place->sequence, Deadline::never()).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + kSegmentHeaderMin || size > 64_KiB) return 0;
  Bytes bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) put_checksums_right(bytes);
  std::uint64_t epoch = 0, first = 0;
  std::memcpy(&epoch, bytes.data() + 16, sizeof epoch);
  std::memcpy(&first, bytes.data() + 24, sizeof first);
  MemoryWorld world;
  const std::string path = kFolder + "/" + segment_name(Sequence(first), Epoch(epoch));
  require(os::replace_file(world.disk, path, bytes).ok());
  require(inspect_file(world.disk, path, {.records = true, .json = data[0] % 4 < 2}).ok() ||
          bytes.substr(0, 6) != "FSJSEG");
  use(world);
  use(world);
  return 0;
}
