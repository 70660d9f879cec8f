#include "journal/open_transactions.h"

#include <algorithm>

namespace farshore::journal {

Result<std::optional<CompleteItem>> OpenTransactions::take(const PlacedRecord& placed,
                                                           std::uint64_t offset) {
  const Record& record = placed.record;
  const bool is_preamble = record.kind == RecordKind::preamble;
  const bool teaches = is_preamble || record.kind == RecordKind::schema;
  if (is_preamble && !in_preamble_) preamble_ = placed.place.sequence;
  in_preamble_ = is_preamble;
  next_ = placed.place.sequence.next();
  switch (record.kind) {
    case RecordKind::data:
      return take_data(placed, offset);
    case RecordKind::abort:
      take_abort(record);
      return std::optional<CompleteItem>();
    case RecordKind::session:
      open_.clear();
      open_records_ = 0;
      break;
    default:
      break;
  }
  if (placed.place.sequence <= start_.skip_through && !teaches)
    return std::optional<CompleteItem>();
  Open single;
  single.spots.push_back({placed.place.sequence, offset});
  single.bytes = record.payload.size();
  single.changes = record.changes;
  return std::optional(complete(placed, std::move(single)));
}

Result<std::optional<CompleteItem>> OpenTransactions::take_data(const PlacedRecord& placed,
                                                                std::uint64_t offset) {
  const Record& record = placed.record;
  const Sequence sequence = placed.place.sequence;
  const Key key{record.session, record.xid};
  auto found = open_.find(key);
  if (record.flags.first && sequence < start_.first_preamble) return std::optional<CompleteItem>();
  if (record.flags.first) {
    if (found != open_.end()) forget(found);
    found = open_.try_emplace(key).first;
    found->second.restart = preamble_.value() == 0 ? sequence : preamble_;
  } else if (found == open_.end()) {
    const bool must_be_whole = start_.whole_after.value() != 0 && sequence > start_.whole_after;
    if (!must_be_whole || !record.flags.last) return std::optional<CompleteItem>();
    return permanent(ErrorKind::overtaken,
                     "transaction {} of session {} ends at place {} but began before sequence {}, "
                     "where reading started",
                     record.xid, record.session, placed.place,
                     std::max(start_.from, start_.first_preamble));
  }
  if (open_records_ >= kOpenRecordsMax)
    return permanent(
        ErrorKind::invalid,
        "open transactions have more than {} records at place {}: end the oldest one in the source",
        kOpenRecordsMax, placed.place);
  Open& open = found->second;
  open.spots.push_back({sequence, offset});
  ++open_records_;
  open.bytes += record.payload.size();
  open.changes += record.changes;
  if (!record.flags.last) return std::optional<CompleteItem>();
  Open ended = std::move(open);
  open_records_ -= ended.spots.size();
  open_.erase(found);
  if (sequence <= start_.skip_through) return std::optional<CompleteItem>();
  return std::optional(complete(placed, std::move(ended)));
}

void OpenTransactions::take_abort(const Record& record) {
  const auto found = open_.find({record.session, record.xid});
  if (found == open_.end()) return;
  if (record.sub_xid == 0)
    forget(found);
  else
    found->second.aborted_sub_xids.push_back(record.sub_xid);
}

void OpenTransactions::forget(std::map<Key, Open>::iterator open) {
  open_records_ -= open->second.spots.size();
  open_.erase(open);
}

CompleteItem OpenTransactions::complete(const PlacedRecord& placed, Open open) const {
  const Record& record = placed.record;
  CompleteItem complete;
  CursorItem& item = complete.item;
  item.kind = record.kind;
  item.place = placed.place;
  item.first = open.spots.front().sequence;
  item.session = record.session;
  item.xid = record.xid;
  item.records = open.spots.size();
  item.bytes = open.bytes;
  item.changes = open.changes;
  item.streamed = record.kind == RecordKind::data && record.flags.streamed;
  item.commit_time = record.commit_time;
  item.position = record.position;
  item.aborted_sub_xids = std::move(open.aborted_sub_xids);
  std::sort(item.aborted_sub_xids.begin(), item.aborted_sub_xids.end());
  const auto twice = std::unique(item.aborted_sub_xids.begin(), item.aborted_sub_xids.end());
  item.aborted_sub_xids.erase(twice, item.aborted_sub_xids.end());
  complete.spots = std::move(open.spots);
  return complete;
}

Sequence OpenTransactions::restart() const {
  Sequence restart = preamble_.value() == 0 ? next_ : preamble_;
  for (const auto& [key, open] : open_) restart = std::min(restart, open.restart);
  return restart;
}

}  // namespace farshore::journal
