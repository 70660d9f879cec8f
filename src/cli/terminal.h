// Terminal: where a command reads and writes, and what that place can show. Tests give their own.
#pragma once

#include <iosfwd>
#include <string>

namespace farshore::cli {

struct Terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool colour = false;   // a terminal, and neither NO_COLOR nor TERM=dumb
  bool unicode = false;  // the locale writes UTF-8
  int columns = 100;
};

Terminal real_terminal();  // std::cin, std::cout, std::cerr

enum class Colour { none, green, yellow, red, cyan, dim, bold };

std::string painted(const Terminal& terminal, Colour colour, const std::string& text);
// Characters that a terminal shows: escape sequences count nothing, a UTF-8 sequence one.
std::size_t shown_width(const std::string& text);
// Cuts words into lines of at most `width`; each but the first begins with `indent`. Longer words
// stay whole.
std::string wrapped(const std::string& text, std::size_t width, const std::string& indent);

}  // namespace farshore::cli
