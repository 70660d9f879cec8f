// Whatever a peer says on a channel: what is read is written back the same, and nothing is
// allocated that the bytes do not pay for.
#include "base/check.h"
#include "pipeline/messages.h"

using namespace farshore;
using namespace farshore::pipeline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = decode(ByteView(reinterpret_cast<const char*>(data), size));
  if (!message.ok()) return 0;
  const Bytes bytes = encode(*message);
  const auto again = decode(bytes);
  FARSHORE_CHECK(again.ok() && encode(*again) == bytes, "twins differ");
  return 0;
}
