// The lines below a stream's row: what is wrong and what to do, and how far a copy has come.
// Nothing when all is well.
#pragma once

#include <string>

#include "cli/api_client.h"
#include "cli/terminal.h"

namespace farshore::cli {

// Where the lines are written and how far they are moved to the right.
struct NotePlace {
  const Terminal& terminal;
  std::size_t indent = 4;
};

// `capture_state`: a worse one has taken the target's place in the row; empty: none can.
std::string target_notes(const Json& target, NotePlace place, const std::string& capture_state);
std::string stream_notes(const Json& stream, NotePlace place);  // of capture and journal

// `label: text`, wrapped.
std::string note(NotePlace place, const std::string& label, const std::string& text);
// The same, but every line stays whole, so that it can be pasted.
std::string pasteable(NotePlace place, const std::string& label, const std::string& text);

}  // namespace farshore::cli
