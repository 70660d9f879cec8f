// Where shipping begins after any break: the far side is asked what it holds, the last
// common place is found by number and running hash. Pure but for reading the near journal's hashes.
#pragma once

#include "journal/journal.h"
#include "pipeline/messages.h"

namespace farshore::pipeline {

// conflict: the journals share no common end (named); overtaken: the near journal no longer holds
// what the far one lacks; unavailable: a newcomer has to wait for the next preamble. A conflict
// that may be tried again: the near journal is between its clear() and its start_at().
Result<Begin> resume_point(journal::Journal& near, const Welcome& far);

}  // namespace farshore::pipeline
