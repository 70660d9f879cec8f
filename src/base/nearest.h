// The word of `known` that a typo most likely meant, by edit distance (letters swapped are one
// edit); empty when none is near: when more than two edits, and more than a third of the letters,
// are needed.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace farshore {

std::string nearest_word(std::string_view typed, std::span<const std::string_view> known);

}  // namespace farshore
