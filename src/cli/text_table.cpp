#include "cli/text_table.h"

#include <algorithm>

namespace farshore::cli {
namespace {
constexpr std::size_t kGap = 2;
}

void TextTable::column(std::string head, Align align) {
  widths_.push_back(shown_width(head));
  heads_.push_back({std::move(head), Colour::dim});
  aligns_.push_back(align);
}

void TextTable::row(std::vector<Cell> cells) {
  FARSHORE_CHECK(cells.size() == heads_.size(), "a row of {} cells in {} columns", cells.size(),
                 heads_.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    widths_[i] = std::max(widths_[i], shown_width(cells[i].text));
  rows_.push_back(std::move(cells));
}

std::size_t TextTable::width() const {
  std::size_t sum = widths_.empty() ? 0 : (widths_.size() - 1) * kGap;
  for (std::size_t width : widths_) sum += width;
  return sum;
}

std::string TextTable::head(const Terminal& terminal) const {
  return line(terminal, heads_);
}

std::vector<std::string> TextTable::rows(const Terminal& terminal) const {
  std::vector<std::string> lines;
  lines.reserve(rows_.size());
  for (const auto& cells : rows_) lines.push_back(line(terminal, cells));
  return lines;
}

std::string TextTable::line(const Terminal& terminal, const std::vector<Cell>& cells) const {
  std::string text, padding;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string missing(widths_[i] - shown_width(cells[i].text), ' ');
    if (aligns_[i] == Align::right) padding += missing;
    if (!cells[i].text.empty()) text += padding + painted(terminal, cells[i].colour, cells[i].text);
    if (!cells[i].text.empty()) padding.clear();
    if (aligns_[i] == Align::left) padding += missing;
    padding += std::string(kGap, ' ');
  }
  return text;
}

}  // namespace farshore::cli
