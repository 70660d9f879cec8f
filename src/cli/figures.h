// Figures as people read them; what is not known is "unknown".
#pragma once

#include <optional>
#include <string>

#include "base/units.h"
#include "cli/text_table.h"

namespace farshore::cli {

std::string duration_text(const std::optional<Duration>& d);
std::string bytes_text(const std::optional<double>& bytes);
std::string count_text(const std::optional<double>& count);  // "0", "7.3", "210", "1.2k", "3.1M"
// As it is shown: "1 row", "1.2k rows", "unknown rows".
std::string counted_text(const std::optional<double>& count, const std::string& one);
std::string offset_text(const std::optional<Duration>& offset, const std::optional<Duration>& bound,
                        bool unicode);

Cell duration_cell(const std::optional<Duration>& d);  // yellow when unknown
Cell bytes_cell(const std::optional<double>& bytes);
Cell count_cell(const std::optional<double>& count);

Colour colour_of_state(const std::string& state);
std::string worse_state(const std::string& a, const std::string& b);  // of two legs
std::string arrow(const Terminal& terminal);                          // " → " or " -> "

}  // namespace farshore::cli
