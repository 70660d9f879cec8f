#include "cli/leg_notes.h"

#include <algorithm>
#include <sstream>

#include "cli/figures.h"
#include "cli/json_read.h"

namespace farshore::cli {
namespace {

std::string standing(const std::string& who, const std::string& state) {
  return who + (state == "failed" ? " has " : " is ") + state;
}

// Its moment has passed while it is being tried.
std::string retry_text(Duration left) {
  return left < 1ms ? "tries again now" : "tries again in " + duration_text(left);
}

std::string leg_notes(const Json& leg, const std::string& who, NotePlace place) {
  const std::string state = text_at(leg, "state"), remedy = text_at(leg, "remedy");
  std::string reason = text_at(leg, "reason");
  if (const auto retry = seconds_at(leg, "retry_in_seconds"))
    reason += (reason.empty() ? "" : "; ") + retry_text(*retry);
  std::string text;
  if (!reason.empty()) text += note(place, who.empty() ? "why" : standing(who, state), reason);
  if (!remedy.empty()) text += pasteable(place, "do", remedy);
  return text;
}

std::string percent(const std::optional<double>& done, const std::optional<double>& total) {
  if (!done || !total || *total <= 0) return "";
  return fmt::format(
      " {:.0f}%",
      std::min(99.0, 100 * *done / *total));  // an estimate: never says 100 while it copies
}

std::string copy_table_text(const Json& table) {
  const auto bytes = number_at(table, "bytes"), bytes_total = number_at(table, "bytes_total");
  const auto rows = number_at(table, "rows"), rows_total = number_at(table, "rows_total");
  const std::string share = bytes_total ? percent(bytes, bytes_total) : percent(rows, rows_total);
  std::string text = text_at(table, "table") + share + ", ";
  if (rows_total)
    text += count_text(rows) + " of about " + counted_text(rows_total, "row");
  else
    text += counted_text(rows, "row");
  text += ", " + bytes_text(bytes);
  if (const auto eta = seconds_at(table, "eta_seconds"))
    text += ", " + duration_text(eta) + " left";
  return text;
}

std::string copy_notes(const Json& copy, NotePlace place) {
  const auto total = number_at(copy, "tables_total");
  std::string head = fmt::format("{} of {} {} copied", count_text(number_at(copy, "tables_done")),
                                 counted_text(total, "table"), total == 1.0 ? "is" : "are");
  if (const auto eta = seconds_at(copy, "eta_seconds")) head += ", " + duration_text(eta) + " left";
  std::string text = note(place, "copy", head);
  for (const Json& table : at(copy, "tables")) text += note(place, "copy", copy_table_text(table));
  return text;
}

// Not again, when the capture leg has said it.
std::string journal_note(const Json& stream, NotePlace place) {
  const std::string health = text_at(stream, "journal/health"),
                    reason = text_at(stream, "journal/reason");
  if (health.empty() || health == "good") return "";
  const bool said =
      !reason.empty() && text_at(stream, "capture/reason").find(reason) != std::string::npos;
  return said ? "" : note(place, standing("journal", health), reason);
}

}  // namespace

std::string note(NotePlace place, const std::string& label, const std::string& text) {
  constexpr std::size_t kWidthMin = 30;
  const std::string left(place.indent, ' '), hanging(place.indent + shown_width(label) + 2, ' ');
  const auto columns = static_cast<std::size_t>(place.terminal.columns);
  const std::size_t width = std::max(columns, hanging.size() + kWidthMin) - hanging.size();
  return left + painted(place.terminal, Colour::dim, label + ":") + " " +
         wrapped(text, width, hanging) + "\n";
}

std::string pasteable(NotePlace place, const std::string& label, const std::string& text) {
  std::istringstream lines(text);
  std::string out, before = std::string(place.indent, ' ') +
                            painted(place.terminal, Colour::dim, label + ":") + " ";
  for (std::string line; std::getline(lines, line);) {
    out += before + line + "\n";
    before = std::string(place.indent + shown_width(label) + 2, ' ');
  }
  return out;
}

std::string target_notes(const Json& target, NotePlace place, const std::string& capture_state) {
  const std::string state = text_at(target, "state");
  const bool shown = worse_state(state, capture_state) == state;
  std::string text = leg_notes(target, shown ? "" : "target", place);
  if (const std::string until = text_at(target, "paused_until"); !until.empty())
    text += note(place, "pause", "applies commits up to " + until);
  if (at(target, "copy").is_object()) text += copy_notes(at(target, "copy"), place);
  return text;
}

std::string stream_notes(const Json& stream, NotePlace place) {
  std::string text;
  if (const Json& capture = at(stream, "capture"); capture.is_object()) {
    text += leg_notes(capture, "capture", place);
    const bool quiet =
        text_at(capture, "reason").empty() && !seconds_at(capture, "retry_in_seconds");
    if (text_at(capture, "state") != "streaming" && quiet)
      text += note(place, "capture", text_at(capture, "state"));
  }
  return text + journal_note(stream, place);
}

}  // namespace farshore::cli
