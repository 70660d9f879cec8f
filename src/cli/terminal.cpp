#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace farshore::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = environment(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

int terminal_columns() {
  constexpr int kColumnsMin = 40, kColumnsMax = 400;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return std::clamp<int>(size.ws_col, kColumnsMin, kColumnsMax);
}

const char* escape_of(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::red:
      return "\x1b[1;31m";
    case Colour::cyan:
      return "\x1b[36m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::bold:
      return "\x1b[1m";
  }
  return "";
}

}  // namespace

Terminal real_terminal() {
  const bool out = isatty(STDOUT_FILENO) == 1;
  return {.in = std::cin,
          .out = std::cout,
          .err = std::cerr,
          .in_is_terminal = isatty(STDIN_FILENO) == 1,
          .out_is_terminal = out,
          .colour = out && environment("NO_COLOR").empty() && environment("TERM") != "dumb",
          .unicode = locale_is_utf8(),
          .columns = out ? terminal_columns() : 100};
}

std::string painted(const Terminal& terminal, Colour colour, const std::string& text) {
  if (!terminal.colour || colour == Colour::none || text.empty()) return text;
  return escape_of(colour) + text + "\x1b[0m";
}

std::size_t shown_width(const std::string& text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = std::min(text.find('m', i), text.size());
      continue;
    }
    const bool continues = (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
    if (!continues) ++width;
  }
  return width;
}

std::string wrapped(const std::string& text, std::size_t width, const std::string& indent) {
  std::string out, word;
  std::size_t used = 0;
  std::istringstream words(text);
  while (words >> word) {
    const std::size_t needed = shown_width(word);
    if (used > 0 && used + 1 + needed > width) {
      out += "\n" + indent;
      used = 0;
    }
    if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += needed;
  }
  return out;
}

}  // namespace farshore::cli
