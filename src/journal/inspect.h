// Inspect: what a journal's file holds, for people and scripts (`farshore journal inspect FILE`).
// Never shows a payload.
#pragma once

#include <string>

#include "base/result.h"
#include "os/file.h"

namespace farshore::journal {

struct InspectOptions {
  bool records = false;  // a line for each record
  bool json = false;     // one object a line
};

struct Inspection {
  std::string text;
  // Something is damaged, or torn before the end. A tail that is torn is none: the newest segment
  // of a running journal may end so, and one that is not in a journal's folder counts as the
  // newest.
  bool damaged = false;
};

// A segment, or the files `history` and `consumers`, told by their magic; of a journal's folder all
// of these; a skipped transaction, told by its name (.records). Damage is part of the answer, not
// an error. invalid: not a file of a journal; not_found, io.
Result<Inspection> inspect_file(os::Files& files, const std::string& path,
                                const InspectOptions& options);

}  // namespace farshore::journal
