// Scrub place: how far the scrub had come, kept over a restart. A hint: when it is missing or
// damaged the scrub begins at the first record.
#pragma once

#include <optional>
#include <string>

#include "change/place.h"
#include "os/file.h"

namespace farshore::journal {

Bytes encode_scrub_place(Sequence through);
std::optional<Sequence> decode_scrub_place(ByteView bytes);

std::optional<Sequence> load_scrub_place(os::Files& files, const std::string& folder);
Result<void> save_scrub_place(os::Files& files, const std::string& folder, Sequence through);

}  // namespace farshore::journal
