// Rebuild: what a near journal gets back that was lost with its disk, or at its end.
// It begins where the target ends that is furthest behind, and takes what lies between from the one
// that is furthest ahead; capture then goes on behind that.
#pragma once

#include <string>
#include <vector>

#include "journal/journal.h"
#include "pipeline/messages.h"
#include "pipeline/ship_loop.h"

namespace farshore::pipeline {

// What one target says that it holds of the stream.
struct Held {
  std::string site;
  Dial dial;
  Welcome welcome;
};

// The one whose journal ends last; nullptr: none holds anything of the stream.
const Held* furthest_ahead(const std::vector<Held>& held);

// `journal` is empty. Where `ahead` no longer holds what a target lacks, the journal begins behind
// `ahead`, and that target's leg will say that it needs a resnapshot. After an error the journal is
// to be cleared.
Result<void> rebuild(os::World& world, journal::Journal& journal, const std::string& stream_name,
                     const std::vector<Held>& held);

// A consumer has passed the end of `journal`: its disk lost records that it had confirmed, or they
// were damaged and cut.
bool lacks_its_end(const journal::Journal& journal);
// What `held` has behind that end is taken from there, before capture writes anything.
Result<void> restore_end(os::World& world, journal::Journal& journal,
                         const std::string& stream_name, const std::vector<Held>& held);

}  // namespace farshore::pipeline
