// SessionChannel: one end of a channel, as its user holds it. It outlives its session, and then
// answers `unavailable`.
#pragma once

#include "link/inbox.h"

namespace farshore::link {

// The part of a session that its channels share.
struct Mailroom {
  Mailroom(os::World& world, std::uint64_t window, std::uint32_t ours_first)
      : outbox(world), inbox(outbox, window, ours_first) {}
  Outbox outbox;
  Inbox inbox;
};

std::unique_ptr<Channel> make_channel(std::shared_ptr<Mailroom> mailroom, std::uint32_t id);

}  // namespace farshore::link
