// StreamFile: the little that one end of a stream must remember besides its journal. Edited as a
// copy and replaced whole. Format: docs/formats/stream-file.md.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"
#include "base/uuid.h"
#include "change/place.h"
#include "os/file.h"

namespace farshore::pipeline {

struct StreamFile {
  Uuid stream;
  std::string name;
  Epoch epoch{1};
  std::string identity;              // source's end: of the newest capture session
  bool copied = false;               // target's end: the initial copy is complete
  std::string definition;            // target's end: as the source's region last told it
  bool paused = false;               // target's end: by an operator
  std::optional<WallTime> pause_at;  // target's end: `pause --at`
};

Bytes encode_stream_file(const StreamFile& file);
// corrupt: names `path`.
Result<StreamFile> decode_stream_file(ByteView bytes, const std::string& path);

// nullopt: there is none. corrupt: names the file.
Result<std::optional<StreamFile>> load_stream_file(os::Files& files, const std::string& path);
Result<void> save_stream_file(os::Files& files, const std::string& path, const StreamFile& file);

}  // namespace farshore::pipeline
