// An error's text that ends with what to do about it: "WHY; do: REMEDY". It reads well wherever it
// is printed whole; a leg that fails of it shows the two apart (pipeline/state.h).
#pragma once

#include <string>
#include <string_view>

namespace farshore {

// "; do: REMEDY", to end a text with; empty for an empty one.
std::string to_do(std::string_view remedy);

struct Told {
  std::string why;
  std::string remedy;  // empty: the text names none
};
Told split_remedy(std::string_view text);

}  // namespace farshore
