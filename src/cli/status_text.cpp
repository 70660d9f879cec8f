#include "cli/status_text.h"

#include <algorithm>

#include "cli/figures.h"
#include "cli/json_read.h"
#include "cli/leg_notes.h"
#include "cli/text_table.h"

namespace farshore::cli {
namespace {

constexpr Duration kCertificateWarning = 30 * 24h;
constexpr std::size_t kNoteIndentMax = 16;

std::string clock_text(const Json& status) {
  const std::string now = text_at(status, "now");  // 2026-11-24T16:17:12.345Z
  return now.size() >= 19 ? now.substr(0, 10) + " " + now.substr(11, 8) + " UTC" : now;
}

std::string title(const Json& status, const Terminal& terminal) {
  const std::string name =
      text_at(status, "agent/cluster") + " / " + text_at(status, "agent/region");
  const std::string what = fmt::format("agent {}, up {}", text_at(status, "agent/version"),
                                       duration_text(seconds_at(status, "agent/uptime_seconds")));
  const std::string clock = clock_text(status);
  const std::size_t used = shown_width(name) + shown_width(what) + shown_width(clock) + 3;
  const auto columns = static_cast<std::size_t>(std::min(terminal.columns, 100));
  const std::string gap(columns > used ? columns - used : 3, ' ');
  std::string text = painted(terminal, Colour::bold, name) + "   " + what + gap + clock + "\n";
  if (const std::string why = text_at(status, "agent/not_ready_why"); !why.empty())
    text += painted(terminal, Colour::yellow, "not ready: ") + why + "\n";
  const auto now = time_at(status, "now"),
             expires = time_at(status, "agent/certificate_expires_at");
  if (now && expires && *expires - *now < kCertificateWarning)
    text += painted(terminal, Colour::yellow, "certificate ") +
            fmt::format("of this region {}: renew it with `farshore cert renew`\n",
                        *expires > *now ? "expires in " + format_duration(*expires - *now)
                                        : "expired " + format_duration(*now - *expires) + " ago");
  return text;
}

std::string rate_of_bytes(const std::optional<double>& bytes) {
  return bytes ? bytes_text(bytes) + "/s" : "unknown";
}

std::string smaller(const Json& link) {
  const auto wire = number_at(link, "sent/wire_bytes"),
             plain_bytes = number_at(link, "sent/plain_bytes");
  if (!wire || !plain_bytes || *wire <= 0 || *plain_bytes <= 0) return "unknown";
  return fmt::format("{:.1f}x", *plain_bytes / *wire);
}

std::string links_text(const Json& status, const Terminal& terminal, bool wide) {
  const Json& links = at(status, "links");
  if (!links.is_array() || links.empty()) return "";
  using enum TextTable::Align;
  TextTable table;
  for (const auto& [head, align] : {std::pair("LINK TO", left),
                                    {"STATE", left},
                                    {"RTT", right},
                                    {"CLOCK", right},
                                    {"OUT", right},
                                    {"IN", right},
                                    {"SMALLER", right},
                                    {"CONNS", right}})
    table.column(head, align);
  std::vector<std::string> notes;
  for (const Json& link : links) {
    const bool connected = true_at(link, "connected");
    table.row({{text_at(link, "peer"), Colour::bold},
               {connected ? "connected" : "down", connected ? Colour::green : Colour::red},
               duration_cell(seconds_at(link, "rtt_seconds")),
               {offset_text(seconds_at(link, "clock_offset_seconds"),
                            seconds_at(link, "clock_offset_bound_seconds"), terminal.unicode)},
               {rate_of_bytes(number_at(link, "sent/wire_bytes_per_second"))},
               {rate_of_bytes(number_at(link, "received/wire_bytes_per_second"))},
               {smaller(link)},
               {count_text(number_at(link, "connections"))}});
    std::string note;
    if (!connected) {
      note = text_at(link, "state");
      if (const auto heard = seconds_at(link, "heard_seconds_ago"))
        note += ", last heard " + duration_text(heard) + " ago";
    } else if (wide) {
      note = fmt::format("agent {}; zstd level {}: {}", text_at(link, "version"),
                         count_text(number_at(link, "compression/level")),
                         text_at(link, "compression/why"));
    }
    notes.push_back(note);
  }
  std::string text = table.head(terminal) + "\n";
  const auto rows = table.rows(terminal);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += rows[i] + "\n";
    if (!notes[i].empty())
      text += "  " + wrapped(notes[i], static_cast<std::size_t>(terminal.columns) - 4, "  ") + "\n";
  }
  return text;
}

// --- streams

std::optional<double> sum(const std::optional<double>& a, const std::optional<double>& b) {
  return a && b ? std::optional(*a + *b) : std::nullopt;
}

enum class Route { whole, target_only };

TextTable stream_table(const Json& streams, const Terminal& terminal, bool wide, Route route) {
  using enum TextTable::Align;
  TextTable table;
  table.column("STREAM");
  table.column(route == Route::whole ? "FROM" + arrow(terminal) + "TO" : "TO");
  table.column("STATE");
  for (const char* head : {"CAPTURE", "DURABLE", "APPLIED", "BACKLOG", "TX/S", "ROWS/S"})
    table.column(head, right);
  if (wide) {
    table.column("TRANSIT", right);
    table.column("APPLIED AT");
    table.column("WAL KEPT", right);
  }
  for (const Json& stream : streams) {
    bool first = true;
    for (const Json& target : at(stream, "targets")) {
      const std::string site = text_at(target, "site"),
                        state =
                            worse_state(text_at(target, "state"), text_at(stream, "capture/state"));
      std::vector<Cell> cells{
          {first ? text_at(stream, "name") : "", Colour::bold},
          {route == Route::whole ? text_at(stream, "from") + arrow(terminal) + site : site},
          {state, colour_of_state(state)},
          duration_cell(seconds_at(target, "lag/capture/age_seconds")),
          duration_cell(seconds_at(target, "lag/durability/age_seconds")),
          duration_cell(seconds_at(target, "lag/apply/age_seconds")),
          bytes_cell(sum(number_at(target, "backlog/to_ship/bytes"),
                         number_at(target, "backlog/to_apply/bytes"))),
          count_cell(number_at(target, "per_second/transactions")),
          count_cell(number_at(target, "per_second/changes"))};
      if (wide) {
        const std::string place = text_at(target, "applied_place");
        cells.push_back({fmt::format(
            "{}/{}/{}", duration_text(seconds_at(target, "lag/capture/transit_seconds")),
            duration_text(seconds_at(target, "lag/durability/transit_seconds")),
            duration_text(seconds_at(target, "lag/apply/transit_seconds")))});
        cells.push_back({place.empty() ? "unknown" : place});
        cells.push_back(bytes_cell(number_at(stream, "capture/retained_bytes")));
      }
      table.row(std::move(cells));
      first = false;
    }
  }
  return table;
}

std::string streams_text(const Json& status, const Terminal& terminal, bool wide) {
  const Json& streams = at(status, "streams");
  if (!streams.is_array() || streams.empty())
    return "no streams: name one under `streams:` in the configuration\n";
  const auto columns = static_cast<std::size_t>(terminal.columns);
  TextTable table = stream_table(streams, terminal, wide, Route::whole);
  if (table.width() > columns) table = stream_table(streams, terminal, wide, Route::target_only);
  const auto rows = table.rows(terminal);
  std::size_t name_width = shown_width("STREAM");
  for (const Json& stream : streams)
    name_width = std::max(name_width, shown_width(text_at(stream, "name")));
  const NotePlace place{terminal, std::min(name_width + 2, kNoteIndentMax)};
  std::string text = table.head(terminal) + "\n";
  std::size_t row = 0;
  for (const Json& stream : streams) {
    for (const Json& target : at(stream, "targets")) {
      text += rows[row++] + "\n";
      text += target_notes(target, place, text_at(stream, "capture/state"));
    }
    text += stream_notes(stream, place);
  }
  return text;
}

}  // namespace

std::string status_text(const Json& status, const Terminal& terminal, bool wide) {
  std::string text = title(status, terminal);
  const std::string links = links_text(status, terminal, wide);
  if (!links.empty()) text += "\n" + links;
  return text + "\n" + streams_text(status, terminal, wide);
}

}  // namespace farshore::cli
