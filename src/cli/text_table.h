// TextTable: rows of cells in columns as wide as what they hold.
#pragma once

#include <string>
#include <vector>

#include "base/check.h"
#include "cli/terminal.h"

namespace farshore::cli {

struct Cell {
  std::string text;
  Colour colour = Colour::none;
};

class TextTable {
 public:
  enum class Align { left, right };

  void column(std::string head, Align align = Align::left);
  void row(std::vector<Cell> cells);

  std::size_t width() const;
  std::string head(const Terminal& terminal) const;  // dim
  std::vector<std::string> rows(const Terminal& terminal) const;

 private:
  std::string line(const Terminal& terminal, const std::vector<Cell>& cells) const;

  std::vector<Cell> heads_;
  std::vector<Align> aligns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace farshore::cli
