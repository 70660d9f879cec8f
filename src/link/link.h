// Link: the transport between two regions. Ordered, flow-controlled channels over 1..16 connections
// per direction, four priority classes, compression, keepalives. It knows no journal and no engine;
// the messages of a channel are opaque. Wire format: docs/formats/link.md.
//
// A Link object is one region's end towards one peer region. It dials and accepts; the pair of ends
// forms a session. Any cut ends the session: every open channel answers `unavailable`, the Link
// reconnects by itself with backoff, and the streams open new channels and resume by place and
// hash. Nothing is delivered twice or out of order within a channel.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "change/event.h"
#include "link/options.h"
#include "os/world.h"

namespace farshore::link {

enum class Class : std::uint8_t {
  control = 0,
  waiting = 1,
  stream = 2,
  copy = 3
};  // lower goes first

constexpr std::uint64_t kMessageMax = 4_MiB;  // longer ones are refused at send

// One end of a bidirectional channel. Threads: one sender and one receiver at once; close from any.
// What was sent before a close is still received. Errors of both: unavailable: the session ended or
// the peer closed the channel; closed: it was closed here. Contract test: channel_contract.h.
struct Channel : Port {
  // Waits for credit; timeout when none came. invalid: over kMessageMax.
  virtual Result<void> send(ByteView message, Deadline deadline) = 0;
  // The next message; timeout when none came. Taking it gives the peer its credit back.
  virtual Result<Bytes> receive(Deadline deadline) = 0;
  virtual void set_class(Class klass) = 0;  // e.g. stream -> waiting while commits wait
  virtual void close() = 0;
  virtual std::uint64_t queued_bytes()
      const = 0;  // accepted by send, not yet written to a connection
};

struct PeerFacts {
  bool connected = false;
  std::string
      state;  // "connected", or why not: "handshake refused: protocol 2.1, we speak 1.0 to 1.1"
  std::string version;            // the peer's Farshore version
  std::string incarnation;        // of the peer's agent: changes when it restarts
  Duration rtt{};                 // smoothed, from keepalives; zero: unknown
  Duration rtt_min{};             // the shortest of the last 8; zero: unknown
  Duration clock_offset{};        // peer's wall clock minus ours
  Duration clock_offset_bound{};  // error bound of it (half the round trip); zero: never measured
  MonotonicTime heard_at{};       // last frame of any kind
  std::uint64_t wire_bytes_sent = 0, plain_bytes_sent = 0;
  std::uint64_t wire_bytes_received = 0, plain_bytes_received = 0;
  int connections = 0;  // outgoing
  int compression_level = 0;
  std::string compression_why;  // "WAN is scarce: 10 Mbit/s" | "CPU is scarce: 96 % busy"
};

using ChannelOpened =
    std::function<void(std::string name, Class klass, std::unique_ptr<Channel> channel)>;

class Link {
 public:
  // `opened` is called from a link thread for each channel that the peer opens; it must not block.
  // `keepalive_payload` is asked before each keepalive (<= 64 KiB, totals say);
  // `keepalive_received` gets the peer's. Starts its threads at once.
  struct Callbacks {
    ChannelOpened opened;
    std::function<Bytes()> keepalive_payload;
    std::function<void(Bytes)> keepalive_received;
  };
  virtual ~Link() = default;

  // Opens a channel, without waiting; `name` says what for ("ship <stream uuid>"). unavailable when
  // no session stands.
  virtual Result<std::unique_ptr<Channel>> open(const std::string& name, Class klass) = 0;
  virtual Result<void> wait_connected(Deadline deadline) = 0;
  virtual PeerFacts facts() const = 0;
  virtual void close() = 0;
};

// The agent's one listener and its links: accepted connections say hello and go to the link of the
// region that their certificate names. Owns the links; they live as long as it does.
class Endpoint {
 public:
  static Result<std::unique_ptr<Endpoint>> make(os::World& world, const std::string& listen_address,
                                                EventSink events);
  virtual ~Endpoint() = default;
  // Starts dialling and accepting for this peer at once.
  virtual Result<Link*> add_peer(const Options& options, Link::Callbacks callbacks) = 0;
  virtual std::string address() const = 0;  // with the real port
  virtual void close() = 0;
};

}  // namespace farshore::link
