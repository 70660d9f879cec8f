#include "change/record_block.h"

#include <algorithm>
#include <optional>

#include "base/checksum.h"
#include "change/record_codec.h"

namespace farshore {
namespace {

// A transaction's first and last message have the same fields in each transaction: byte by byte
// their high digits are runs, and their low ones do not tear other matches apart.
constexpr std::size_t kHead = 32, kTail = 32;
constexpr std::size_t kRecordMin = 10;  // bytes that each record has in the columns
constexpr std::size_t kRecordUsual = 24;
constexpr std::int64_t kPerMicrosecond = 1000;
constexpr unsigned kFlagsShift = 4;
constexpr std::uint64_t kKindMask = 15;

void put(std::uint64_t value, Bytes& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Empty: it does not end, is over 64 bits, or is longer than it need be.
std::optional<std::uint64_t> take(ByteReader& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && in.left() > 0; shift += 7) {
    const auto byte = in.number<std::uint8_t>();
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1)) return {};
    return value;
  }
  return {};
}

// Small differences of either sign become small numbers.
std::uint64_t folded(std::uint64_t difference) {
  return difference << 1 ^ (0 - (difference >> 63));
}
std::uint64_t unfolded(std::uint64_t number) {
  return number >> 1 ^ (0 - (number & 1));
}

// A position of 8 bytes is a number; one of 16 that number, a short one and a time. They are next
// to those before in the log, and the time is next to the commit's.
constexpr std::size_t kNumber = sizeof(std::uint64_t), kNumbers = 2 * kNumber;
constexpr std::size_t kShort = kNumber, kTime = kNumber + sizeof(std::uint32_t);

bool is_number(std::size_t position_bytes) {
  return position_bytes == kNumber || position_bytes == kNumbers;
}
bool is_numbers(std::size_t position_bytes) {
  return position_bytes == kNumbers;
}
template <class T>
T number_at(const Position& position, std::size_t offset) {
  return ByteReader(ByteView(position.bytes).substr(offset)).number<T>();
}

struct Split {
  std::size_t head, tail;
  explicit Split(std::size_t bytes)
      : head(std::min(bytes, kHead)), tail(std::min(bytes - head, kTail)) {}
};

struct Time {
  std::int64_t microseconds, rest;
  std::uint32_t low() const { return static_cast<std::uint32_t>(microseconds); }
};
Time split(WallTime time) {
  const std::int64_t count = time.time_since_epoch().count();
  const std::int64_t rest = count % kPerMicrosecond;
  return {count / kPerMicrosecond - (rest < 0 ? 1 : 0), rest < 0 ? rest + kPerMicrosecond : rest};
}

class Encoder {
 public:
  Encoder(std::span<const PlacedRecord> records, Bytes& out) : records_(records), out_(out) {}

  void columns() {
    differences([](const PlacedRecord& r) { return r.place.epoch.value(); });
    numbers([](const PlacedRecord& r) {
      return static_cast<std::uint64_t>(r.record.kind) | std::uint64_t{bits_of(r.record.flags)}
                                                             << kFlagsShift;
    });
    differences([](const PlacedRecord& r) { return r.record.session; });
    differences([](const PlacedRecord& r) { return r.record.xid; });
    numbers([](const PlacedRecord& r) { return r.record.sub_xid; });
    numbers([](const PlacedRecord& r) { return r.record.changes; });
    differences([](const PlacedRecord& r) {
      return static_cast<std::uint64_t>(split(r.record.commit_time).microseconds);
    });
    numbers([](const PlacedRecord& r) {
      return static_cast<std::uint64_t>(split(r.record.commit_time).rest);
    });
    numbers([](const PlacedRecord& r) { return r.record.position.bytes.size(); });
    numbers([](const PlacedRecord& r) { return r.record.payload.size(); });
  }

  void positions() {
    for (const PlacedRecord& r : records_)
      if (!is_number(r.record.position.bytes.size())) out_ += r.record.position.bytes;
    const auto number = [](const PlacedRecord& r) {
      return number_at<std::uint64_t>(r.record.position, 0);
    };
    differences(number, is_number);
    differences(
        [](const PlacedRecord& r) { return number_at<std::uint32_t>(r.record.position, kShort); },
        is_numbers);
    differences(
        [](const PlacedRecord& r) {
          return number_at<std::uint32_t>(r.record.position, kTime) -
                 split(r.record.commit_time).low();
        },
        is_numbers);
  }

  void payloads() {
    for (std::size_t i = 0; i < kHead; ++i)
      for (const PlacedRecord& r : records_)
        if (i < Split(r.record.payload.size()).head) out_.push_back(r.record.payload[i]);
    for (std::size_t i = kTail; i > 0; --i)
      for (const PlacedRecord& r : records_)
        if (const Bytes& payload = r.record.payload; i <= Split(payload.size()).tail)
          out_.push_back(payload[payload.size() - i]);
    for (const PlacedRecord& r : records_) {
      const Split part(r.record.payload.size());
      out_ += ByteView(r.record.payload)
                  .substr(part.head, r.record.payload.size() - part.head - part.tail);
    }
  }

 private:
  template <class Get>
  void numbers(Get get) {
    for (const PlacedRecord& r : records_) put(get(r), out_);
  }
  template <class Get>
  void differences(Get get) {
    differences(get, [](std::size_t) { return true; });
  }
  // Of the records whose position has so many bytes.
  template <class Get, class Which>
  void differences(Get get, Which which) {
    std::uint64_t before = 0;
    for (const PlacedRecord& r : records_) {
      if (!which(r.record.position.bytes.size())) continue;
      const std::uint64_t number = get(r);
      put(folded(number - before), out_);
      before = number;
    }
  }

  const std::span<const PlacedRecord> records_;
  Bytes& out_;
};

// Each step is false where the bytes end early or are over a limit.
class Decoder {
 public:
  Decoder(ByteReader& in, std::vector<PlacedRecord>& records) : in_(in), records_(records) {}

  bool columns() {
    const bool good =
        differences(
            [](PlacedRecord& r, std::uint64_t n) { return r.place.epoch = Epoch(n), true; }) &&
        numbers(set_kind) && differences([](PlacedRecord& r, std::uint64_t n) {
          return r.record.session = static_cast<std::uint32_t>(n), n <= UINT32_MAX;
        }) &&
        differences([](PlacedRecord& r, std::uint64_t n) { return r.record.xid = n, true; }) &&
        numbers([](PlacedRecord& r, std::uint64_t n) { return r.record.sub_xid = n, true; }) &&
        numbers([](PlacedRecord& r, std::uint64_t n) {
          return r.record.changes = static_cast<std::uint32_t>(n), n <= UINT32_MAX;
        }) &&
        differences(set_microseconds) && numbers(add_rest);
    return good && sizes();
  }

  bool positions() {
    for (PlacedRecord& r : records_)
      if (Bytes& bytes = r.record.position.bytes; !is_number(bytes.size()))
        bytes = in_.raw(bytes.size());
    return differences([](PlacedRecord& r, std::uint64_t n) { return set_number(r, 0, n), true; },
                       is_number) &&
           differences(
               [](PlacedRecord& r, std::uint64_t n) {
                 return set_number(r, kShort, static_cast<std::uint32_t>(n)), n <= UINT32_MAX;
               },
               is_numbers) &&
           differences(
               [](PlacedRecord& r, std::uint64_t n) {
                 const auto time =
                     static_cast<std::uint32_t>(n) + split(r.record.commit_time).low();
                 return set_number(r, kTime, time), n <= UINT32_MAX;
               },
               is_numbers) &&
           !in_.failed();
  }

  bool payloads() {
    if (in_.left() != payload_bytes_) return false;
    const ByteView all = in_.rest();
    const char* from = all.data();
    for (std::size_t i = 0; i < kHead; ++i)
      for (PlacedRecord& r : records_)
        if (Bytes& payload = r.record.payload; i < Split(payload.size()).head) payload[i] = *from++;
    for (std::size_t i = kTail; i > 0; --i)
      for (PlacedRecord& r : records_)
        if (Bytes& payload = r.record.payload; i <= Split(payload.size()).tail)
          payload[payload.size() - i] = *from++;
    for (PlacedRecord& r : records_) {
      const Split part(r.record.payload.size());
      const std::size_t middle = r.record.payload.size() - part.head - part.tail;
      std::copy_n(from, middle, r.record.payload.begin() + static_cast<std::ptrdiff_t>(part.head));
      from += middle;
    }
    return true;
  }

 private:
  template <class T>
  static void set_number(PlacedRecord& r, std::size_t offset, T number) {
    Bytes bytes;
    ByteWriter(bytes).number(number);
    r.record.position.bytes.replace(offset, bytes.size(), bytes);
  }
  static bool set_kind(PlacedRecord& r, std::uint64_t number) {
    const auto kind = kind_of(number & kKindMask);
    const auto flags = flags_of(number >> kFlagsShift);
    if (!kind || !flags) return false;
    r.record.kind = *kind;
    r.record.flags = *flags;
    return true;
  }
  static bool set_microseconds(PlacedRecord& r, std::uint64_t number) {
    const auto count = static_cast<std::int64_t>(number);
    constexpr std::int64_t kMax = INT64_MAX / kPerMicrosecond - 1;
    if (count > kMax || count < -kMax) return false;
    r.record.commit_time = WallTime(Duration(count * kPerMicrosecond));
    return true;
  }
  static bool add_rest(PlacedRecord& r, std::uint64_t number) {
    if (number >= kPerMicrosecond) return false;
    r.record.commit_time += Duration(static_cast<std::int64_t>(number));
    return true;
  }

  // Nothing is made room for before all bytes of it are known to be there.
  bool sizes() {
    std::uint64_t bytes = 0;
    std::vector<std::uint32_t> of_positions;
    of_positions.reserve(records_.size());
    const bool positions_fit = numbers([&](PlacedRecord&, std::uint64_t n) {
      of_positions.push_back(static_cast<std::uint32_t>(n));
      bytes += n == kNumber ? 1 : n == kNumbers ? 3 : n;
      return n <= kPositionMax;
    });
    if (!positions_fit) return false;
    std::vector<std::uint32_t> of_payloads;
    of_payloads.reserve(records_.size());
    const bool payloads_fit = numbers([&](PlacedRecord&, std::uint64_t n) {
      of_payloads.push_back(static_cast<std::uint32_t>(n));
      payload_bytes_ += n;
      return n <= kRecordPayloadMax;
    });
    if (!payloads_fit || bytes + payload_bytes_ > in_.left()) return false;
    for (std::size_t i = 0; i < records_.size(); ++i) {
      records_[i].record.position.bytes.resize(of_positions[i]);
      records_[i].record.payload.resize(of_payloads[i]);
    }
    return true;
  }

  template <class Set>
  bool numbers(Set set) {
    return numbers(set, [](std::size_t) { return true; });
  }
  template <class Set, class Which>
  bool numbers(Set set, Which which) {
    return std::all_of(records_.begin(), records_.end(), [&](PlacedRecord& r) {
      if (!which(r.record.position.bytes.size())) return true;
      const auto number = take(in_);
      return number && set(r, *number);
    });
  }
  template <class Set>
  bool differences(Set set) {
    return differences(set, [](std::size_t) { return true; });
  }
  // Of the records whose position has so many bytes.
  template <class Set, class Which>
  bool differences(Set set, Which which) {
    std::uint64_t before = 0;
    return numbers(
        [&](PlacedRecord& r, std::uint64_t number) {
          before += unfolded(number);
          return set(r, before);
        },
        which);
  }

  ByteReader& in_;
  std::vector<PlacedRecord>& records_;
  std::uint64_t payload_bytes_ = 0;
};

void chain(std::vector<PlacedRecord>& records) {
  Bytes encoded;
  for (std::size_t i = 1; i < records.size(); ++i) {
    encoded.clear();
    encode_record(records[i].record, encoded);
    records[i].hash = chain_hash(records[i - 1].hash, encoded);
  }
}

}  // namespace

void encode_block(std::span<const PlacedRecord> records, Bytes& out) {
  FARSHORE_CHECK(records.size() <= kBlockRecordsMax, "a block of {} records", records.size());
  put(records.size(), out);
  if (records.empty()) return;
  const Sequence first = records.front().place.sequence, last = records.back().place.sequence;
  FARSHORE_CHECK(last.value() - first.value() == records.size() - 1,
                 "a block of {} records from {} to {}", records.size(), first, last);
  ByteWriter(out).number(first.value()).number(records.front().hash);
  if (records.size() > 1) ByteWriter(out).number(records.back().hash);
  std::size_t bytes = 0;
  for (const PlacedRecord& r : records)
    bytes += kRecordUsual + r.record.position.bytes.size() + r.record.payload.size();
  out.reserve(out.size() + bytes);
  Encoder encoder(records, out);
  encoder.columns();
  encoder.positions();
  encoder.payloads();
}

Result<std::vector<PlacedRecord>> decode_block(ByteView bytes) {
  ByteReader in(bytes);
  const auto count = take(in);
  if (!count || *count > kBlockRecordsMax || *count > in.left() / kRecordMin + 1)
    return permanent(ErrorKind::corrupt, "block of {} bytes does not say how many records it holds",
                     bytes.size());
  std::vector<PlacedRecord> records(*count);
  if (records.empty() && in.finished()) return records;
  const auto first = in.number<std::uint64_t>();
  const auto first_hash = in.number<std::uint64_t>();
  const auto last_hash = *count > 1 ? in.number<std::uint64_t>() : first_hash;
  Decoder decoder(in, records);
  const bool good = !records.empty() && !in.failed() && first <= UINT64_MAX - *count &&
                    decoder.columns() && decoder.positions() && decoder.payloads();
  if (!good)
    return permanent(ErrorKind::corrupt, "block of {} records from {} on does not parse", *count,
                     first);
  for (std::size_t i = 0; i < records.size(); ++i) records[i].place.sequence = Sequence(first + i);
  records.front().hash = first_hash;
  chain(records);
  if (records.back().hash != last_hash)
    return permanent(ErrorKind::corrupt, "records {} to {} contradict their running hash",
                     records.front().place, records.back().place);
  return records;
}

}  // namespace farshore
