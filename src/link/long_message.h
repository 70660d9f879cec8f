// Messages longer than a channel takes at once, like the definitions of ten thousand tables: cut
// into pieces behind one that says how long the whole is (docs/formats/link.md). A message of at
// most kMessageMax goes as it is. Both ends use these on the channels where long ones may come.
//
// Threads and errors as Channel's; invalid: longer than kLongMessageMax; corrupt: the pieces do not
// make what was said.
#pragma once

#include "link/link.h"

namespace farshore::link {

constexpr std::uint64_t kLongMessageMax = 256_MiB;  // a receiver holds it in memory

// The message's first byte is not 0.
Result<void> send_long(Channel& channel, ByteView message, Deadline deadline);
Result<Bytes> receive_long(Channel& channel, Deadline deadline);

}  // namespace farshore::link
