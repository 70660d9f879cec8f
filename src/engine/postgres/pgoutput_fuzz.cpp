// Whatever a payload holds: reading it, decoding its messages, walking rows, and assembling records
// from it must neither crash nor read past an end.
#include "engine/postgres/record_assembler.h"

namespace {

using namespace farshore;
using namespace farshore::postgres;

std::size_t walk(const Tuple& tuple) {
  std::size_t bytes = 0;
  for (TupleReader reader(tuple); auto value = reader.next();) bytes += value->bytes.size();
  return bytes;
}

void look(ByteView message, bool in_stream) {
  const auto decoded = decode(message, in_stream);
  if (!decoded.ok()) return;
  if (const auto* insert = std::get_if<Insert>(&*decoded)) (void)walk(insert->row);
  if (const auto* update = std::get_if<Update>(&*decoded))
    (void)(walk(update->old_row) + walk(update->row));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  RecordAssembler assembler("farshore_", 512);
  PayloadReader reader;
  // In two records, so that messages are cut.
  for (const ByteView part : {input.substr(0, size / 2), input.substr(size / 2)}) {
    if (!reader.feed(part, true).ok()) break;
    for (auto message = reader.next(); message.ok() && *message; message = reader.next()) {
      look(**message, false);
      look(**message, true);
      (void)assembler.take(**message);
    }
  }
  for (const Bytes& payload : assembler.preamble()) {
    PayloadReader again;
    FARSHORE_CHECK(again.feed(payload, false).ok(), "a preamble of our own");
    for (auto message = again.next(); message.ok() && *message; message = again.next())
      FARSHORE_CHECK(decode(**message, false).ok(), "a definition of our own");
  }
  for (const Record& record : assembler.take_ready(1_MiB))
    FARSHORE_CHECK(record.payload.size() <= 512 || record.kind == RecordKind::preamble,
                   "a record of {} bytes", record.payload.size());
  return 0;
}
