// The long form of one stream: `farshore status STREAM`.
#include "cli/figures.h"
#include "cli/json_read.h"
#include "cli/leg_notes.h"
#include "cli/status_text.h"

namespace farshore::cli {
namespace {

constexpr std::size_t kFactIndent = 11;

std::string or_unknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

std::string head_line(const Terminal& terminal, const std::string& part, const std::string& name,
                      const std::string& state) {
  const std::string label = fmt::format("  {:<9}", part);
  return painted(terminal, Colour::dim, label) + fmt::format("{:<32}", name) +
         painted(terminal, colour_of_state(state), state) + "\n";
}

std::string fact(const std::string& text) {
  return std::string(kFactIndent, ' ') + text + "\n";
}

std::string rates(const Json& leg) {
  const auto transactions = number_at(leg, "per_second/transactions"),
             rows = number_at(leg, "per_second/changes");
  if (!transactions && !rows) return "rates unknown";
  return fmt::format("{} transactions/s, {} rows/s", count_text(transactions), count_text(rows));
}

std::string behind(const Json& target, const std::string& backlog) {
  const auto bytes = number_at(target, backlog + "/bytes"),
             transactions = number_at(target, backlog + "/transactions");
  if (!bytes && !transactions) return "backlog unknown";
  if (bytes == 0.0 && transactions == 0.0) return "nothing waits";
  return fmt::format("{} in {} wait", bytes_text(bytes), counted_text(transactions, "transaction"));
}

std::string with_region(const std::string& site, const std::string& region) {
  return region.empty() ? site : site + " (" + region + ")";
}

std::string forecast(const Json& of, const char* field, const char* what) {
  const auto hours = number_at(of, field);
  if (!hours || *hours < 0 || *hours >= 24 * 365) return "";
  return fact(fmt::format("{} in {} at this rate", what,
                          format_duration(Duration(std::int64_t(*hours * 3.6e12)))));
}

std::string capture_text(const Json& stream, const Terminal& terminal) {
  const Json& capture = at(stream, "capture");
  const std::string name = with_region(text_at(stream, "from"), text_at(stream, "from_region"));
  if (!capture.is_object()) return head_line(terminal, "capture", name, "unknown");
  std::string text = head_line(terminal, "capture", name, text_at(capture, "state"));
  if (!number_at(capture, "open_transactions")) return text;  // told by the source's region
  text += fact(fmt::format("lag {} (transit {}), at {}",
                           duration_text(seconds_at(capture, "lag/age_seconds")),
                           duration_text(seconds_at(capture, "lag/transit_seconds")),
                           or_unknown(text_at(capture, "position"))));
  text += fact(fmt::format("source keeps {} for us, {} not yet received",
                           bytes_text(number_at(capture, "retained_bytes")),
                           bytes_text(number_at(capture, "behind_bytes"))));
  text += forecast(capture, "hours_to_retain_max", "released early (source.retain_max)");
  text += forecast(capture, "hours_to_wal_max", "slot given up (source.wal_max)");
  text += fact(fmt::format("{}, {} open", rates(capture),
                           counted_text(number_at(capture, "open_transactions"), "transaction")));
  return text;
}

std::string journal_text(const Json& stream, const Terminal& terminal) {
  const Json& journal = at(stream, "journal");
  if (!journal.is_object()) return "";
  std::string text = head_line(terminal, "journal", "here", text_at(journal, "health"));
  text += fact(fmt::format("{} of {}, {} to {}", bytes_text(number_at(journal, "bytes")),
                           bytes_text(number_at(journal, "bytes_max")),
                           or_unknown(text_at(journal, "first_place")),
                           or_unknown(text_at(journal, "durable_place"))));
  return text + forecast(journal, "hours_to_bytes_max", "at its limit") +
         forecast(journal, "hours_to_disk_full", "disk full");
}

std::string stage(const Json& target, const std::string& name, const std::string& lag,
                  const std::string& place, const std::string& backlog) {
  return fact(fmt::format("{:<8} {:>8} (transit {}), at {}, {}", name,
                          duration_text(seconds_at(target, "lag/" + lag + "/age_seconds")),
                          duration_text(seconds_at(target, "lag/" + lag + "/transit_seconds")),
                          or_unknown(text_at(target, place)), behind(target, backlog)));
}

std::string target_text(const Json& target, const Terminal& terminal) {
  std::string text =
      head_line(terminal, "target", with_region(text_at(target, "site"), text_at(target, "region")),
                text_at(target, "state"));
  text += stage(target, "durable", "durability", "durable_place", "backlog/to_ship");
  text += stage(target, "applied", "apply", "applied_place", "backlog/to_apply");
  text += fact(rates(target));
  return text + target_notes(target, {terminal, kFactIndent}, "");
}

}  // namespace

std::string stream_text(const Json& stream, const Terminal& terminal) {
  const std::string state = text_at(stream, "state");
  std::string text = painted(terminal, Colour::bold, text_at(stream, "name")) + "   " +
                     painted(terminal, colour_of_state(state), state) +
                     fmt::format("   {} {}\n\n", text_at(stream, "engine"), text_at(stream, "id"));
  text += capture_text(stream, terminal) + journal_text(stream, terminal) +
          stream_notes(stream, {terminal, kFactIndent});
  for (const Json& target : at(stream, "targets")) text += target_text(target, terminal);
  return text;
}

}  // namespace farshore::cli
