#include "pipeline/capture_states.h"

#include "base/checksum.h"

namespace farshore::pipeline {
namespace {

constexpr std::uint16_t kVersion = 2;  // 1 is that of totals: an older peer passes over this one
constexpr std::size_t kStreamsMax = 1000;

// Not in the middle of a character of UTF-8.
std::string cut(const std::string& text) {
  if (text.size() <= kCaptureReasonMax) return text;
  std::size_t end = kCaptureReasonMax - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

Bytes encode_capture_states(const std::vector<CaptureState>& states) {
  Bytes out;
  ByteWriter writer(out);
  writer.number(kVersion).number(static_cast<std::uint16_t>(states.size()));
  for (const CaptureState& s : states)
    writer.string16(s.stream).number(static_cast<std::uint8_t>(s.state)).string16(cut(s.reason));
  writer.number(crc32c(out));
  return out;
}

Result<std::vector<CaptureState>> decode_capture_states(ByteView bytes) {
  const Error bad =
      permanent(ErrorKind::corrupt, "capture states of {} bytes do not parse", bytes.size());
  if (bytes.size() < 8) return bad;
  ByteReader checksum(bytes.substr(bytes.size() - 4));
  bytes.remove_suffix(4);
  if (checksum.number<std::uint32_t>() != crc32c(bytes)) return bad;
  ByteReader in(bytes);
  if (in.number<std::uint16_t>() != kVersion) return bad;
  const auto count = in.number<std::uint16_t>();
  if (count > kStreamsMax) return bad;
  std::vector<CaptureState> states;
  for (std::uint16_t i = 0; i < count && !in.failed(); ++i) {
    CaptureState& s = states.emplace_back();
    s.stream = in.string16();
    const auto state = in.number<std::uint8_t>();
    if (state > static_cast<std::uint8_t>(State::failed)) return bad;
    s.state = static_cast<State>(state);
    s.reason = in.string16();
  }
  if (!in.finished()) return bad;
  return states;
}

void CaptureStatesHeard::received(ByteView payload, MonotonicTime now) {
  auto states = decode_capture_states(payload);
  if (!states.ok()) return;
  os::Lock lock(mutex_);
  std::erase_if(by_name_, [&](const auto& entry) { return now - entry.second.at > kFresh; });
  for (CaptureState& s : *states) {
    const std::string name = s.stream;
    by_name_[name] = {std::move(s), now};
  }
}

std::optional<CaptureState> CaptureStatesHeard::of(const std::string& stream,
                                                   MonotonicTime now) const {
  os::Lock lock(mutex_);
  const auto found = by_name_.find(stream);
  if (found == by_name_.end() || now - found->second.at > kFresh) return std::nullopt;
  return found->second.state;
}

}  // namespace farshore::pipeline
