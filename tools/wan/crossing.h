// Crossing: one TCP connection over the WAN: the caller's socket, the socket to where it leads, and
// the bytes on their way in both directions. Made when the caller connects; dials one round trip
// later, as a handshake over the WAN would take. Used by the proxy's one thread.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "wan/pipe.h"
#include "wan/socket.h"

namespace farshore::wan {

constexpr std::size_t kReadBytes = 256 * 1024;
// Of one direction of one crossing: arrived, but the receiver does not read. Then it is not read
// from the sender either.
constexpr std::uint64_t kArrivedBytesMax = 4_MiB;

class Crossing {
 public:
  // The pipes outlive the crossing; forward is the caller's way.
  Crossing(Socket caller, Address target, MonotonicTime opens_at, Pipe& forward, Pipe& backward);

  struct Side {
    Socket socket;
    bool readable = false, writable = false;  // as the kernel said; cleared by a short call
    std::uint32_t watched = 0;                // what epoll is asked for: the proxy's
  };

  // Dials, moves what is due and reads what fits.
  void step(MonotonicTime now);
  void set_receive_buffers(int bytes);  // of both sockets, now and when the other is there
  // Loses the connection's state as a middlebox does: both ends stay open, nothing is delivered.
  void swallow();
  // The caller's end is gone and the other end does not know.
  void half_open();
  // Both ends are told at once.
  void reset();

  bool finished() const;
  MonotonicTime wakes_at() const;  // when step() has something to do without any event
  bool wants_read(int side) const;
  bool wants_write(int side) const;
  Side& side(int index) { return sides_[static_cast<std::size_t>(index)]; }
  // Of the pipes' room, both directions together. Who took little for long counts as `least`.
  std::uint64_t taken_bytes() const { return taken_; }
  void count_taken_at_least(std::uint64_t least) { taken_ = std::max(taken_, least); }
  std::uint64_t held_bytes() const { return flows_[0].held + flows_[1].held; }

 private:
  enum class Stage { opening, dialing, open, ended };
  enum class Mark { data, end, reset };
  struct Parcel {
    MonotonicTime due;
    Mark mark;
    Bytes bytes;
    std::size_t written = 0;
  };
  struct Flow {  // from side i to side 1 - i
    Pipe* pipe;
    std::deque<Parcel> parcels;
    std::uint64_t held = 0;     // bytes in parcels
    bool source_ended = false;  // nothing more is read
    bool target_ended = false;  // the end was delivered, or nothing can be
  };

  void dial(MonotonicTime now);
  void deliver(int from, MonotonicTime now);
  void read(int from, MonotonicTime now);
  bool write_front(Flow& flow, Side& target);
  std::size_t send_now(int from, ByteView bytes);
  void discard(int from);
  std::uint64_t room(int from, MonotonicTime now) const;

  std::array<Side, 2> sides_;  // 0: the caller
  std::array<Flow, 2> flows_;
  Address target_;
  MonotonicTime opens_at_;
  int receive_buffer_bytes_ = kReceiveBufferBytes;
  Stage stage_ = Stage::opening;
  bool swallowing_ = false;
  std::uint64_t taken_ = 0;
};

}  // namespace farshore::wan
