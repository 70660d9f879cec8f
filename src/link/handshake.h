// Handshake: decides purely who may talk and which session a connection belongs to. No I/O.
//
// Of two regions the one with the smaller name owns the session: it numbers them, rising within its
// incarnation. Both may dial at once: the owner gives every dialler the same number, so both
// connections land in one session. A number that ended on either side is never used again.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "link/hello.h"

namespace farshore::link {

// This side, as the handshake needs it.
struct Self {
  Protocol protocol;
  std::string cluster, region, peer_region, incarnation, version;
  int connections_max = 16;
  std::uint64_t candidate = 1;  // owner: number of its next session
  std::uint64_t ended = 0;      // newest session that ended here, of `ended_owner`
  std::string ended_owner;      // incarnation

  bool owns() const { return region < peer_region; }
};

// The session that stands on this side.
struct Standing {
  std::uint64_t number = 0;
  std::string owner;  // incarnation of its owner
  std::string peer_incarnation;
  std::string peer_address;
  int connections = 0;
};

// What a ping of the standing session has shown, asked when another agent claims the peer's region.
enum class Liveness { not_asked, alive, silent };

struct PingFirst {};  // ask the standing session whether it lives, then decide again

using Decision = std::variant<Accept, Refuse, PingFirst>;

// The acceptor's answer. An Accept of a newer number than the standing session's ends that one.
// `peer_name`: the certificate's; empty on plain TCP, where Hello's word is taken.
Decision decide(const Self& self, const std::optional<Standing>& standing, const Hello& hello,
                const std::string& peer_name, Liveness liveness);

// Same major and neighbouring minors talk with the lower one; else the words that say why not.
Result<Protocol> negotiate(Protocol ours, Protocol theirs);

Hello make_hello(const Self& self, const std::optional<Standing>& join);

// The dialler's check of the answer. invalid: names what differs.
Result<void> check_accept(const Self& self, const Accept& accept, const std::string& peer_name);

// What a connection means to this side once it is confirmed.
enum class Attach { starts, joins, replaces, drop };
Attach attach_of(const Self& self, const std::optional<Standing>& standing, std::uint64_t number,
                 const std::string& owner, const std::string& peer_incarnation);

}  // namespace farshore::link
