// The words of the handshake: Hello -> Accept | Refuse -> Confirm. The first fields of Hello (up to
// peer_region) and all of Refuse never change, so that any two versions can tell each other why
// they do not talk. Twins: encode and decode. Bytes: docs/formats/link.md.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace farshore::link {

constexpr std::uint32_t kHelloMagic = 0x4c525346;  // "FSRL"
constexpr std::uint8_t kProtocolMajor = 1;
constexpr std::uint8_t kProtocolMinor = 0;
constexpr std::size_t kHelloMax = 4_KiB;
constexpr std::size_t kNameMax = 255;  // of a cluster, region, incarnation or version

struct Protocol {
  std::uint8_t major = kProtocolMajor;
  std::uint8_t minor = kProtocolMinor;
  friend bool operator==(const Protocol&, const Protocol&) = default;
};

struct Hello {
  Protocol protocol;
  std::string cluster;
  std::string region;       // the dialler's
  std::string peer_region;  // whom it means to have dialled
  std::string incarnation;
  std::string version;
  bool join = false;  // one more connection for `session`
  std::uint64_t session =
      0;  // join: that session; else the owner's next one; 0: the acceptor is the owner
  std::uint64_t ended = 0;  // newest session that ended at the dialler; 0: none
  std::string owner;  // incarnation of the owner that the two numbers belong to; empty: none yet
  friend bool operator==(const Hello&, const Hello&) = default;
};

struct Accept {
  Protocol protocol;  // the lower minor of both: what is talked from here on
  std::string region;
  std::string incarnation;
  std::string version;
  std::uint64_t session = 0;
  friend bool operator==(const Accept&, const Accept&) = default;
};

enum class RefuseCode : std::uint8_t {
  protocol = 1,       // versions do not fit
  identity = 2,       // other cluster, region or certificate
  second_agent = 3,   // the region is held by another agent
  stale_session = 4,  // the offered session has ended here: offer a newer one
  no_session = 5,     // join of a session that does not stand
  full = 6,           // no more connections
  closing = 7,        // the agent stops
};

struct Refuse {
  Protocol protocol;
  RefuseCode code = RefuseCode::protocol;
  std::string words;
  friend bool operator==(const Refuse&, const Refuse&) = default;
};

Bytes encode(const Hello& hello);
Bytes encode(const Accept& accept);
Bytes encode(const Refuse& refuse);

// corrupt. A Hello of another major has only its first fields filled in.
Result<Hello> decode_hello(ByteView bytes);
Result<Accept> decode_accept(ByteView bytes);
Result<Refuse> decode_refuse(ByteView bytes);

}  // namespace farshore::link
