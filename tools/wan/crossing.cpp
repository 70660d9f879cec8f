#include "wan/crossing.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace farshore::wan {

Crossing::Crossing(Socket caller, Address target, MonotonicTime opens_at, Pipe& forward,
                   Pipe& backward)
    : target_(target), opens_at_(opens_at) {
  sides_[0].socket = std::move(caller);
  flows_[0].pipe = &forward;
  flows_[1].pipe = &backward;
}

void Crossing::step(MonotonicTime now) {
  if (stage_ == Stage::opening && now >= opens_at_) dial(now);
  if (stage_ == Stage::dialing && sides_[1].writable) {
    if (connected(sides_[1].socket)) {
      stage_ = Stage::open;
    } else {
      reset();
    }
  }
  if (stage_ != Stage::open) return;
  for (int from : {0, 1}) {
    if (swallowing_) {
      discard(from);
      continue;
    }
    deliver(from, now);
    read(from, now);
    deliver(from, now);
    if (stage_ != Stage::open) return;
  }
}

void Crossing::set_receive_buffers(int bytes) {
  receive_buffer_bytes_ = bytes;
  for (const Side& side : sides_) set_receive_buffer(side.socket, bytes);
}

void Crossing::dial(MonotonicTime) {
  auto socket = connect_to(target_);
  if (!socket) return reset();
  sides_[1].socket = *std::move(socket);
  set_receive_buffer(sides_[1].socket, receive_buffer_bytes_);
  stage_ = Stage::dialing;
}

void Crossing::deliver(int from, MonotonicTime now) {
  Flow& flow = flows_[static_cast<std::size_t>(from)];
  Side& target = side(1 - from);
  while (!flow.parcels.empty() && flow.parcels.front().due <= now) {
    if (flow.parcels.front().mark == Mark::reset) return reset();
    if (!write_front(flow, target)) return;
  }
}

// False: the target takes no more now.
bool Crossing::write_front(Flow& flow, Side& target) {
  Parcel& parcel = flow.parcels.front();
  if (parcel.mark == Mark::end) {
    if (!flow.target_ended) (void)::shutdown(target.socket.fd(), SHUT_WR);
    flow.target_ended = true;
  } else if (!flow.target_ended) {
    if (!target.writable) return false;
    const std::size_t left = parcel.bytes.size() - parcel.written;
    const ssize_t count =
        ::send(target.socket.fd(), parcel.bytes.data() + parcel.written, left, MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      target.writable = errno == EINTR;
      return false;
    }
    if (count < 0) {
      flow.target_ended = true;  // its own reading tells the other side
    } else if (static_cast<std::size_t>(count) < left) {
      parcel.written += static_cast<std::size_t>(count);
      flow.held -= static_cast<std::uint64_t>(count);
      target.writable = false;
      return false;
    }
  }
  flow.held -= parcel.bytes.size() - parcel.written;
  flow.parcels.pop_front();
  return true;
}

std::uint64_t Crossing::room(int from, MonotonicTime now) const {
  const Flow& flow = flows_[static_cast<std::size_t>(from)];
  const std::uint64_t most = flow.pipe->capacity() + kArrivedBytesMax;
  const std::uint64_t own = flow.held < most ? most - flow.held : 0;
  return std::min(own, flow.pipe->room(now));
}

void Crossing::read(int from, MonotonicTime now) {
  static thread_local char scratch[kReadBytes];
  Flow& flow = flows_[static_cast<std::size_t>(from)];
  Side& source = side(from);
  while (source.readable && !flow.source_ended) {
    const std::size_t most = std::min<std::uint64_t>(kReadBytes, room(from, now));
    if (most == 0) return;
    const ssize_t count = ::recv(source.socket.fd(), scratch, most, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      source.readable = errno == EINTR;
      return;
    }
    const Mark mark = count > 0 ? Mark::data : count == 0 ? Mark::end : Mark::reset;
    const ByteView bytes(scratch, count > 0 ? static_cast<std::size_t>(count) : 0);
    const MonotonicTime due = flow.pipe->enter(now, bytes.size());
    taken_ += bytes.size();
    const std::size_t sent = due <= now && mark == Mark::data ? send_now(from, bytes) : 0;
    if (sent < bytes.size() || mark != Mark::data) {
      flow.held += bytes.size() - sent;
      flow.parcels.push_back({due, mark, Bytes(bytes.substr(sent))});
    }
    flow.source_ended = mark != Mark::data;
    if (bytes.size() < most) source.readable = flow.source_ended;
    if (bytes.size() == kReadBytes) return;  // others have their turn
  }
}

// What is due at once need not be kept: how many bytes the target took.
std::size_t Crossing::send_now(int from, ByteView bytes) {
  Flow& flow = flows_[static_cast<std::size_t>(from)];
  Side& target = side(1 - from);
  if (!flow.parcels.empty() || flow.target_ended || !target.writable) return 0;
  const ssize_t count = ::send(target.socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count < 0) return 0;  // the parcel meets the same error
  if (static_cast<std::size_t>(count) < bytes.size()) target.writable = false;
  return static_cast<std::size_t>(count);
}

void Crossing::discard(int from) {
  Flow& flow = flows_[static_cast<std::size_t>(from)];
  Side& source = side(from);
  static thread_local char scratch[kReadBytes];
  while (source.socket.open() && source.readable && !flow.source_ended) {
    const ssize_t count = ::recv(source.socket.fd(), scratch, sizeof scratch, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      source.readable = false;
    } else if (count <= 0) {
      flow.source_ended = true;
    }
  }
}

void Crossing::swallow() {
  if (stage_ == Stage::opening || stage_ == Stage::dialing) return reset();
  swallowing_ = true;
  for (Flow& flow : flows_) {
    flow.parcels.clear();
    flow.held = 0;
  }
}

void Crossing::half_open() {
  swallow();
  sides_[0].socket.reset();
  flows_[0].source_ended = true;
}

void Crossing::reset() {
  for (Side& side : sides_) side.socket.reset();
  stage_ = Stage::ended;
}

bool Crossing::finished() const {
  if (stage_ == Stage::ended) return true;
  if (swallowing_) return flows_[0].source_ended && flows_[1].source_ended;
  return flows_[0].target_ended && flows_[1].target_ended;
}

MonotonicTime Crossing::wakes_at() const {
  if (stage_ == Stage::opening) return opens_at_;
  MonotonicTime earliest = MonotonicTime::max();
  if (stage_ != Stage::open || swallowing_) return earliest;
  for (int from : {0, 1}) {
    const Flow& flow = flows_[static_cast<std::size_t>(from)];
    const Side& target = sides_[static_cast<std::size_t>(1 - from)];
    if (flow.parcels.empty()) continue;
    const Parcel& front = flow.parcels.front();
    // What is due but does not fit waits for the kernel's event.
    if (target.writable || flow.target_ended || front.mark != Mark::data)
      earliest = std::min(earliest, front.due);
  }
  for (int from : {0, 1}) {  // the kernel has bytes, but the pipe is full
    const Flow& flow = flows_[static_cast<std::size_t>(from)];
    if (!sides_[static_cast<std::size_t>(from)].readable || flow.source_ended) continue;
    if (flow.held < flow.pipe->capacity() + kArrivedBytesMax)
      earliest =
          std::min(earliest, flow.pipe->next_out() == MonotonicTime::max() ? MonotonicTime::min()
                                                                           : flow.pipe->next_out());
  }
  return earliest;
}

bool Crossing::wants_read(int index) const {
  const Side& side = sides_[static_cast<std::size_t>(index)];
  if (stage_ != Stage::open || !side.socket.open()) return false;
  return !side.readable && !flows_[static_cast<std::size_t>(index)].source_ended;
}

bool Crossing::wants_write(int index) const {
  const Side& side = sides_[static_cast<std::size_t>(index)];
  if (!side.socket.open() || side.writable || swallowing_) return false;
  return stage_ == Stage::open || (stage_ == Stage::dialing && index == 1);
}

}  // namespace farshore::wan
