#include "journal/salvage.h"

#include "journal/segment_writer.h"

namespace farshore::journal {

Result<Edge> find_edge(os::Files& files, const FoundSegment& segment, Sequence cut) {
  Edge edge{.offset = segment.header.bytes(),
            .hash = segment.header.hash_before,
            .preamble = {segment.header.preamble_before, segment.header.follows_preamble},
            .tail = segment.header.tail_before};
  if (segment.header.first == cut) return edge;
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(files, segment.path, segment.header.epoch));
  bool found = false;
  const auto note = [&](const Frame& frame) -> Result<void> {
    if (frame.header.sequence >= cut) return {};
    edge.offset = frame.offset + frame.size;
    edge.hash = frame.header.hash;
    edge.preamble.note(frame.kind(), frame.header.sequence);
    note_tail(frame.encoded, edge.tail);
    found = found || frame.header.sequence == cut.previous();
    return {};
  };
  const ScanBounds bounds{.limit = segment.size, .last = std::nullopt, .durable = cut.previous()};
  FARSHORE_TRY(scan_segment(reader, segment.header, bounds, note));
  if (!found)
    return permanent(ErrorKind::corrupt,
                     "journal file {} does not hold a whole record {}, before which its tail is to "
                     "be set aside; repair "
                     "it first",
                     segment.path, Place{segment.header.epoch, cut.previous()});
  return edge;
}

namespace {

SegmentHeader header_at(Sequence first, Epoch epoch, const Edge& edge, WallTime created) {
  return {epoch, first, edge.hash, created, edge.preamble.first, edge.preamble.running, edge.tail};
}

Result<void> split(os::Files& files, const std::string& folder, const FoundSegment& segment,
                   Sequence cut, const Edge& edge) {
  if (segment.size <= edge.offset) return {};
  FARSHORE_TRY_ASSIGN(auto file, files.open(segment.path, os::OpenMode::write));
  FARSHORE_TRY(copy_range(files, *file, edge.offset, segment.size, salvage_folder(folder),
                          header_at(cut, segment.header.epoch, edge, segment.header.created)));
  FARSHORE_TRY(file->truncate(edge.offset));
  FARSHORE_TRY(file->sync());
  (void)files.remove(index_path(segment.path));
  return {};
}

}  // namespace

std::string salvage_folder(const std::string& folder) {
  return folder + "/salvage";
}

Result<void> finish_cut(os::Files& files, const std::string& folder, EpochHistory& history) {
  FARSHORE_CHECK(history.cut && !history.entries.empty(), "no tail is to be set aside");
  const Sequence cut = *history.cut;
  const Epoch epoch = history.current();
  FARSHORE_TRY_ASSIGN(const auto found, find_segments(files, folder));
  FARSHORE_TRY(files.create_folder(salvage_folder(folder)));
  const FoundSegment* at_edge = nullptr;
  const FoundSegment* begun = nullptr;
  for (const FoundSegment& segment : found) {
    if (segment.header.epoch == epoch) begun = &segment;
    if (segment.header.epoch < epoch && segment.header.first <= cut) at_edge = &segment;
  }
  if (at_edge != nullptr) {
    FARSHORE_TRY_ASSIGN(const Edge edge, find_edge(files, *at_edge, cut));
    if (begun == nullptr)
      FARSHORE_TRY(
          create_segment(files, folder, header_at(cut, epoch, edge, at_edge->header.created)));
    if (at_edge->header.first < cut) FARSHORE_TRY(split(files, folder, *at_edge, cut, edge));
  }
  for (const FoundSegment& segment : found) {
    if (segment.header.epoch >= epoch || segment.header.first < cut) continue;
    (void)files.remove(index_path(segment.path));
    FARSHORE_TRY(files.rename(
        segment.path,
        salvage_folder(folder) + "/" + segment_name(segment.header.first, segment.header.epoch)));
  }
  FARSHORE_TRY(files.sync_folder(salvage_folder(folder)));
  FARSHORE_TRY(files.sync_folder(folder));
  history.cut.reset();
  return save_history(files, folder, history);
}

}  // namespace farshore::journal
