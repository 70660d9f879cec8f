#include "pipeline/capture_states.h"

#include <algorithm>

#include "pipeline/keepalive_list.h"

namespace farshore::pipeline {
namespace {

// 1 is that of totals: an older peer passes over this one.
constexpr KeepaliveList kStatesList{.version = 2, .name = "capture states"};

// Not in the middle of a character of UTF-8.
std::string cut(const std::string& text) {
  if (text.size() <= kCaptureReasonMax) return text;
  std::size_t end = kCaptureReasonMax - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

Bytes encode_capture_states(const std::vector<CaptureState>& states) {
  return encode_list(kStatesList, states, [](ByteWriter& out, const CaptureState& s) {
    out.string16(s.stream).number(static_cast<std::uint8_t>(s.state)).string16(cut(s.reason));
  });
}

Result<std::vector<CaptureState>> decode_capture_states(ByteView bytes) {
  return decode_list<CaptureState>(kStatesList, bytes, [](ByteReader& in, CaptureState& s) {
    s.stream = in.string16();
    const auto state = in.number<std::uint8_t>();
    s.state = static_cast<State>(state);
    s.reason = in.string16();
    return state <= static_cast<std::uint8_t>(State::failed);
  });
}

Duration told_holds_for(std::size_t streams, Duration keepalive_every) {
  const std::size_t turns = (streams + kStreamsToldAtOnce - 1) / kStreamsToldAtOnce;
  return std::max<Duration>(20s, 3 * 2 * static_cast<int>(turns) * keepalive_every);
}

void CaptureStatesHeard::received(ByteView payload, MonotonicTime now) {
  auto states = decode_capture_states(payload);
  if (!states.ok()) return;
  os::Lock lock(mutex_);
  std::erase_if(by_name_, [&](const auto& entry) { return now - entry.second.at > holds_for_; });
  for (const CaptureState& s : *states)  // its legs, if they have failed still, come with it
    std::erase_if(by_name_, [prefix = s.stream + "/"](const auto& entry) {
      return entry.first.starts_with(prefix);
    });
  for (CaptureState& s : *states) {
    const std::string name = s.stream;
    by_name_[name] = {std::move(s), now};
  }
}

std::optional<CaptureState> CaptureStatesHeard::of(const std::string& stream,
                                                   MonotonicTime now) const {
  os::Lock lock(mutex_);
  const auto found = by_name_.find(stream);
  if (found == by_name_.end() || now - found->second.at > holds_for_) return std::nullopt;
  return found->second.state;
}

}  // namespace farshore::pipeline
