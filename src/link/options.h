// Options of the link between two regions, from one region's side.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/units.h"

namespace farshore::link {

enum class Compression : std::uint8_t { adaptive, off };

struct Options {
  std::string cluster;  // name of the configuration: both sides must agree
  std::string own_region;
  std::string own_incarnation;  // uuid text, new at each start of the agent
  std::string own_version;
  std::string peer_region;   // the certificate's name must be this and nothing else
  std::string peer_address;  // "host:port" to dial
  int connections_min = 1;   // from the beginning, 1..connections_max; more come by need
  int connections_max = 16;  // 1..16 per direction
  // The most credit of a channel: >= bandwidth x RTT. 1 Gbit/s at 80 ms needs 10 MiB, at 200 ms
  // 25 MiB. At short round trips channels get less (inbox.h).
  std::uint64_t channel_window_bytes = 64_MiB;
  Duration keepalive_every = 1s;
  Duration dead_after = 8s;  // no frame for so long: the session is ended (noticed within 10 s)
  Duration connect_timeout = 10s;
  Duration reconnect_min = 100ms, reconnect_max = 5s;
  Compression compression = Compression::adaptive;
};

}  // namespace farshore::link
