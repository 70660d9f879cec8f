// KeepaliveList: the envelope that the documents of a keepalive have in common
// (docs/formats/totals.md):
//
//   u16 version, u16 number of entries, the entries, u32 CRC-32C of all before
//
// The version tells the documents apart: a reader refuses every other one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/result.h"

namespace farshore::pipeline {

struct KeepaliveList {
  std::uint16_t version = 0;
  std::string_view name;  // for errors: "totals"
};
constexpr std::size_t kKeepaliveEntriesMax = 1000;

// `write` has the form void(ByteWriter&, const Entry&).
template <class Entry, class Write>
Bytes encode_list(const KeepaliveList& list, const std::vector<Entry>& entries, Write write) {
  Bytes out;
  ByteWriter writer(out);
  writer.number(list.version).number(static_cast<std::uint16_t>(entries.size()));
  for (const Entry& entry : entries) write(writer, entry);
  writer.number(crc32c(out));
  return out;
}

// `read` has the form bool(ByteReader&, Entry&); false: no such entry can be. corrupt: also
// another document.
template <class Entry, class Read>
Result<std::vector<Entry>> decode_list(const KeepaliveList& list, ByteView bytes, Read read) {
  const Error bad =
      permanent(ErrorKind::corrupt, "{} of {} bytes do not parse", list.name, bytes.size());
  if (bytes.size() < 8) return bad;
  ByteReader checksum(bytes.substr(bytes.size() - 4));
  bytes.remove_suffix(4);
  if (checksum.number<std::uint32_t>() != crc32c(bytes)) return bad;
  ByteReader in(bytes);
  if (in.number<std::uint16_t>() != list.version) return bad;
  const auto count = in.number<std::uint16_t>();
  if (count > kKeepaliveEntriesMax) return bad;
  std::vector<Entry> entries;
  for (std::uint16_t i = 0; i < count && !in.failed(); ++i)
    if (!read(in, entries.emplace_back())) return bad;
  if (!in.finished()) return bad;
  return entries;
}

}  // namespace farshore::pipeline
