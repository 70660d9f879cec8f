// The lines that a text gives its reader to paste: a verb for one leg of a stream, with all names
// that the command needs wherever it is run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farshore {

struct LegName {
  std::string stream;
  std::string target;  // site; empty: all of the stream
  std::string region;  // whose agent does it; empty: the one that is there
};

// `farshore stream VERB STREAM WORDS --to TARGET --region REGION`, in backticks and quoted for a
// shell.
std::string stream_command(const LegName& leg, std::string_view verb,
                           const std::vector<std::string>& words = {});
// Whether a text names such a line already.
bool names_stream_command(std::string_view text);

}  // namespace farshore
