#include "journal/inspect.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/plural.h"
#include "change/record_codec.h"
#include "journal/consumers.h"
#include "journal/epoch_history.h"
#include "journal/segment_scan.h"

namespace farshore::journal {
namespace {

constexpr std::string_view kHistory = "history";

const char* name_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::data:
      return "data";
    case RecordKind::abort:
      return "abort";
    case RecordKind::session:
      return "session";
    case RecordKind::preamble:
      return "preamble";
    case RecordKind::schema:
      return "schema";
    case RecordKind::heartbeat:
      return "heartbeat";
    case RecordKind::definition:
      return "definition";
    case RecordKind::table:
      return "table";
  }
  return "unknown";
}

std::string flags_of(const RecordFlags& flags) {
  std::string text;
  const auto add = [&](bool set, const char* name) {
    if (set) text += (text.empty() ? "" : ",") + std::string(name);
  };
  add(flags.first, "first");
  add(flags.last, "last");
  add(flags.streamed, "streamed");
  add(flags.continued, "continued");
  return text.empty() ? "-" : text;
}

std::string hex_of(ByteView bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

// Text of the files has no bytes that need escaping except quotes, backslashes and controls.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string time_or_dash(WallTime t) {
  return t == WallTime{} ? "-" : format_time(t);
}

std::string damage_line(const std::string& what, bool json) {
  return json ? fmt::format(R"({{"damage":{}}})"
                            "\n",
                            quoted(what))
              : fmt::format("DAMAGE: {}\n", what);
}

class SegmentReport {
 public:
  SegmentReport(const InspectOptions& options, std::string path)
      : json_(options.json), each_(options.records), path_(std::move(path)) {}

  void header(const SegmentHeader& h, std::uint64_t size) {
    epoch_ = h.epoch;
    if (json_)
      text_ += fmt::format(
          R"({{"file":{},"format":{},"bytes":{},"epoch":{},"first":{},"hash_before":"{:016x}",)"
          R"("created":"{}","preamble_before":{},"session_before":{},"position_before":"{}"}})"
          "\n",
          quoted(path_), kSegmentVersion, size, h.epoch, h.first, h.hash_before,
          format_time(h.created), h.preamble_before, h.tail_before.session,
          hex_of(h.tail_before.position.bytes));
    else
      text_ += fmt::format(
          "segment {}\n  format {}, {} bytes, made {}\n  first {}, running hash before it {:016x}, "
          "preamble before it {}\n",
          path_, kSegmentVersion, size, format_time(h.created), Place{h.epoch, h.first},
          h.hash_before, h.preamble_before);
    if (each_ && !json_)
      text_ += fmt::format(
          "{:>16} {:>10} {:<10} {:<22} {:>7} {:>12} {:>12} {:>8} {:>8} {:<24} {:<24} {}\n", "place",
          "offset", "kind", "flags", "session", "xid", "sub_xid", "changes", "payload",
          "commit_time", "appended", "position");
  }

  Result<void> record(const Frame& frame) {
    const auto decoded = decode_record(frame.encoded);
    ++records_;
    if (!decoded) {
      problem(fmt::format("record {} at offset {}: {}", Place{epoch_, frame.header.sequence},
                          frame.offset, decoded.error().what));
      return {};
    }
    const Record& r = *decoded;
    payload_ += r.payload.size();
    changes_ += r.changes;
    if (r.kind == RecordKind::data && r.flags.last) ++transactions_;
    if (each_) line(frame, r);
    return {};
  }

  void line(const Frame& frame, const Record& r) {
    if (json_)
      text_ += fmt::format(
          R"({{"epoch":{},"sequence":{},"offset":{},"kind":"{}","flags":"{}",)"
          R"("session":{},"xid":{},"sub_xid":{},"changes":{},"payload_bytes":{},)"
          R"("commit_time":"{}","appended":"{}","position":"{}","hash":"{:016x}","unsynced":{}}})"
          "\n",
          epoch_, frame.header.sequence, frame.offset, name_of(r.kind), flags_of(r.flags),
          r.session, r.xid, r.sub_xid, r.changes, r.payload.size(), time_or_dash(r.commit_time),
          format_time(frame.header.appended), hex_of(r.position.bytes), frame.header.hash,
          frame.header.unsynced);
    else
      text_ += fmt::format(
          "{:>16} {:>10} {:<10} {:<22} {:>7} {:>12} {:>12} {:>8} {:>8} {:<24} {:<24} {}\n",
          fmt::format("{}", Place{epoch_, frame.header.sequence}), frame.offset, name_of(r.kind),
          flags_of(r.flags), r.session, r.xid, r.sub_xid, r.changes, r.payload.size(),
          time_or_dash(r.commit_time), format_time(frame.header.appended),
          hex_of(r.position.bytes));
  }

  void problem(const std::string& what) {
    ++problems_;
    text_ += damage_line(what, json_);
  }

  // Of the newest segment. An agent that runs may be writing just there.
  void torn(const SegmentScan& scan) {
    if (scan.torn_bytes == 0) return;
    torn_within_ = scan.frames_follow;
    const std::string what = fmt::format(
        "the last {} bytes, from offset {} on, are no whole frames ({}){}, which open cuts as not "
        "synced",
        scan.torn_bytes, scan.end, scan.torn_why,
        scan.frames_follow ? ", though some follow: damage, or what a crash left"
                           : ": a torn tail");
    text_ += json_ ? fmt::format(R"({{"torn_tail":{},"bytes":{},"offset":{}}})"
                                 "\n",
                                 quoted(what), scan.torn_bytes, scan.end)
                   : fmt::format("TORN: {}\n", what);
  }

  Inspection finish(const SegmentScan& scan) {
    const Place last{epoch_, scan.last};
    if (json_)
      text_ += fmt::format(R"({{"records":{},"transactions":{},"changes":{},"payload_bytes":{},)"
                           R"("preambles":[{}],"last_sequence":{},"hash":"{:016x}",)"
                           R"("damages":{},"torn_bytes":{}}})"
                           "\n",
                           records_, transactions_, changes_, payload_,
                           fmt::join(scan.index.preambles(), ","), scan.last, scan.hash, problems_,
                           scan.torn_bytes);
    else
      text_ += fmt::format(
          "{}, {} here, {}, {} of payload\n"
          "preambles begin at: {}\nlast {}, running hash {:016x}; {}\n",
          counted(records_, "record"),
          counted(transactions_, "transaction") + (transactions_ == 1 ? " ends" : " end"),
          counted(changes_, "change"), format_bytes(payload_),
          scan.index.preambles().empty()
              ? "none here"
              : fmt::format("{}", fmt::join(scan.index.preambles(), ", ")),
          last, scan.hash,
          problems_ > 0         ? counted(problems_, "damaged place")
          : torn_within_        ? "torn before the end"
          : scan.torn_bytes > 0 ? "no whole frames at the end"
                                : "no damage");
    return {.text = std::move(text_), .damaged = problems_ > 0 || torn_within_};
  }

 private:
  const bool json_, each_;
  const std::string path_;
  Epoch epoch_;
  std::string text_;
  std::uint64_t records_ = 0, transactions_ = 0, changes_ = 0, payload_ = 0, problems_ = 0;
  bool torn_within_ = false;
};

// The newest record of a segment that is closed, as the next one in the journal's folder says.
std::optional<Sequence> closed_at(os::Files& files, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  const auto own = parse_segment_name(path.substr(slash + 1));  // all of it without a slash
  const auto names = files.list(folder);
  if (!own || !names.ok() || std::ranges::find(*names, kHistory) == names->end())
    return std::nullopt;
  const auto order = [](const SegmentName& name) { return std::pair(name.first, name.epoch); };
  std::optional<SegmentName> next;
  for (const std::string& name : *names) {
    const auto other = parse_segment_name(name);
    if (other && order(*other) > order(*own) && (!next || order(*other) < order(*next)))
      next = other;
  }
  return next ? std::optional(next->first.previous()) : std::nullopt;
}

Result<Inspection> inspect_segment(os::Files& files, SegmentReader& reader, ByteView head,
                                   const InspectOptions& options) {
  // Before the size: what is closed now is whole, and grows no more.
  const std::optional<Sequence> last = closed_at(files, reader.path());
  FARSHORE_TRY_ASSIGN(const std::uint64_t size, reader.file().size());
  SegmentReport report(options, reader.path());
  const auto header = decode_segment_header(head);
  if (!header) {
    report.problem(fmt::format("offset 0: {}", header.error().what));
    return report.finish({});
  }
  report.header(*header, size);
  const ScanBounds bounds{.limit = size, .last = last, .durable = {}};
  SegmentReader frames = reader.for_epoch(header->epoch);
  FARSHORE_TRY_ASSIGN(const SegmentScan scan,
                      scan_segment(frames, *header, bounds,
                                   [&](const Frame& frame) { return report.record(frame); }));
  for (const Damage& damage : scan.damages) report.problem(text_of(damage));
  report.torn(scan);
  return report.finish(scan);
}

std::string text_of(const EpochHistory& history, bool json) {
  std::string text = json ? fmt::format(R"({{"promised":{}}})"
                                        "\n",
                                        history.promised)
                          : fmt::format("epoch history, promised epoch {}\n", history.promised);
  for (const EpochEntry& entry : history.entries)
    text += json ? fmt::format(R"({{"epoch":{},"first":{},"identity":{}}})"
                               "\n",
                               entry.epoch, entry.first, quoted(entry.identity))
                 : fmt::format("epoch {} from sequence {}: {}\n", entry.epoch, entry.first,
                               entry.identity);
  for (const SetAside& tail : history.set_aside)
    text += json
                ? fmt::format(R"({{"set_aside_epoch":{},"first":{},"last":{},"by":{}}})"
                              "\n",
                              tail.epoch, tail.first, tail.last, tail.by)
                : fmt::format("set aside: {} to {}, replaced by epoch {}\n",
                              Place{tail.epoch, tail.first}, Place{tail.epoch, tail.last}, tail.by);
  return text;
}

std::string text_of(const ConsumerTable& table, bool json) {
  std::string text = json ? "" : "consumers\n";
  for (const auto& [name, consumer] : table) {
    const ConsumerPlaces& places = consumer.places;
    text += json ? fmt::format(
                       R"({{"consumer":{},"applied":{},"restart":{},"required":{},"overtaken":{}}})"
                       "\n",
                       quoted(name), places.applied, places.restart, places.required,
                       consumer.overtaken)
                 : fmt::format("{}: applied {}, restart {}{}{}\n", name, places.applied,
                               places.restart, places.required ? ", required" : "",
                               consumer.overtaken ? ", OVERTAKEN" : "");
  }
  return text;
}

template <class Contents>
Inspection inspect_small(const std::string& path, const Result<Contents>& contents, bool json) {
  if (contents) return {.text = text_of(*contents, json)};
  return {.text = damage_line(fmt::format("{}: {}", path, contents.error().what), json),
          .damaged = true};
}

// A transaction that was skipped (docs/formats/skipped.md).
class SkippedReport {
 public:
  explicit SkippedReport(const InspectOptions& options) : options_(options) {}

  Inspection of(const std::string& path, ByteView bytes) {
    text_ = options_.json ? fmt::format(R"({{"file":{},"bytes":{}}})"
                                        "\n",
                                        quoted(path), bytes.size())
                          : fmt::format("skipped transaction {}, {} bytes\n", path, bytes.size());
    ByteReader in(bytes);
    while (in.left() > 0) {
      const std::size_t offset = bytes.size() - in.left();
      const auto record = decode_record(in.string32());
      if (!record) {
        ++damages_;
        text_ +=
            damage_line(fmt::format("offset {}: {}", offset, record.error().what), options_.json);
        break;  // nothing says where the next one begins
      }
      add(offset, *record);
    }
    return {.text = finish(), .damaged = damages_ > 0};
  }

 private:
  void add(std::size_t offset, const Record& r) {
    ++records_;
    changes_ += r.changes;
    payload_ += r.payload.size();
    committed_ = std::max(committed_, r.commit_time);
    xid_ = r.xid;
    if (!options_.records) return;
    constexpr fmt::string_view kJson =
        R"({{"offset":{},"kind":"{}","flags":"{}","session":{},"sub_xid":{},"changes":{},)"
        R"("payload_bytes":{}}})"
        "\n";
    if (options_.json)
      text_ += fmt::format(kJson, offset, name_of(r.kind), flags_of(r.flags), r.session, r.sub_xid,
                           r.changes, r.payload.size());
    else
      text_ += fmt::format("offset {}: {}, flags {}, session {}, sub_xid {}, {}, {} of payload\n",
                           offset, name_of(r.kind), flags_of(r.flags), r.session, r.sub_xid,
                           counted(r.changes, "change"), counted(r.payload.size(), "byte"));
  }

  std::string finish() {
    constexpr fmt::string_view kJson =
        R"({{"xid":{},"commit_time":"{}","records":{},"changes":{},"payload_bytes":{},)"
        R"("damages":{}}})"
        "\n";
    if (options_.json)
      return text_ + fmt::format(kJson, xid_, time_or_dash(committed_), records_, changes_,
                                 payload_, damages_);
    return text_ + fmt::format("xid {}, committed {}: {}, {}, {} of payload; {}\n", xid_,
                               time_or_dash(committed_), counted(records_, "record"),
                               counted(changes_, "change"), counted(payload_, "byte"),
                               counted(damages_, "damaged place"));
  }

  const InspectOptions& options_;
  std::string text_;
  std::uint64_t xid_ = 0, records_ = 0, changes_ = 0, payload_ = 0, damages_ = 0;
  WallTime committed_{};
};

Result<Inspection> inspect_folder(os::Files& files, const std::string& folder,
                                  std::vector<std::string> names, const InspectOptions& options) {
  std::sort(names.begin(), names.end());
  Inspection whole;
  std::size_t segments = 0;
  for (const std::string& name : names) {
    const bool segment = name.ends_with(".segment");
    if (!segment && name != kHistory && name != "consumers") continue;
    segments += segment ? 1 : 0;
    FARSHORE_TRY_ASSIGN(const Inspection part,
                        inspect_file(files, fmt::format("{}/{}", folder, name), options));
    whole.text += part.text;
    whole.damaged |= part.damaged;
  }
  whole.text += options.json ? fmt::format(R"({{"segments":{}}})"
                                           "\n",
                                           segments)
                             : counted(segments, "segment") + "\n";
  return whole;
}

bool of_a_journal(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name == kHistory || name.ends_with(".segment");
  });
}

}  // namespace

Result<Inspection> inspect_file(os::Files& files, const std::string& path,
                                const InspectOptions& options) {
  const bool json = options.json;
  if (auto names = files.list(path); names.ok() && !names->empty()) {
    if (of_a_journal(*names)) return inspect_folder(files, path, *std::move(names), options);
    return permanent(ErrorKind::invalid,
                     "'{}' is a folder, and not a journal's: give .../streams/NAME/source/journal "
                     "or .../streams/NAME/to-SITE/journal of a region's data folder",
                     path);
  }
  if (path.ends_with(".records")) {
    FARSHORE_TRY_ASSIGN(const Bytes bytes, os::read_file(files, path));
    return SkippedReport(options).of(path, bytes);
  }
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(files, path, Epoch{}));
  FARSHORE_TRY_ASSIGN(const Bytes head, reader.head());
  if (head.starts_with("FSJSEG")) return inspect_segment(files, reader, head, options);
  if (head.starts_with("FSJHIS") || head.starts_with("FSJCON")) {
    FARSHORE_TRY_ASSIGN(const Bytes bytes, os::read_file(files, path));
    return head.starts_with("FSJHIS") ? inspect_small(path, decode_history(bytes), json)
                                      : inspect_small(path, decode_consumers(bytes), json);
  }
  return permanent(
      ErrorKind::invalid,
      "'{}' is not a file of a journal: it begins with none of the magics; give a "
      ".segment file, `history` or `consumers` of a journal's folder, the folder, or a "
      ".records file of a transaction that was skipped",
      path);
}

}  // namespace farshore::journal
