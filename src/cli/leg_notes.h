// The lines below a stream's row: what is wrong and what to do, and how far a copy has come.
// Nothing when all is well.
#pragma once

#include <string>

#include "cli/api_client.h"
#include "cli/terminal.h"

namespace farshore::cli {

std::string target_notes(const Json& stream, const Json& target, const Terminal& terminal);
std::string stream_notes(const Json& stream, const Terminal& terminal);  // of capture and journal

// `label: text`, wrapped; every line of `text` that a person may paste stays whole.
std::string note(const Terminal& terminal, const std::string& label, const std::string& text);
std::string pasteable(const Terminal& terminal, const std::string& label, const std::string& text);

}  // namespace farshore::cli
