// Feedback: what a capture session tells the walsender, decided purely.
// PostgreSQL waits at commit until write (remote_write), flush (on) or apply (remote_apply) has
// reached the end of the commit record, also when that commit holds nothing for us: unpublished
// tables, empty transactions. So a level that has reached all we were given follows the server's
// keepalives; one that has not says no more than it holds.
//
// flush is what the slot releases for ever. It names only places that records of the journal name
// (or less), so that a journal which ends before it is known to have a gap. When keepalives run
// ahead of the last record, `place_due` asks for a record that carries the place itself.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/postgres/lsn.h"

namespace farshore::postgres {

struct Reply {
  Lsn write, flush, apply;
  friend bool operator==(const Reply&, const Reply&) = default;
};

class Feedback {
 public:
  explicit Feedback(std::uint64_t retain_max) : retain_max_(retain_max) {}

  // A session begins that delivers what committed after `after`, from a slot that was released up
  // to `confirmed`: that is reported as flush from the start, since a walsender that never reported
  // one counts for no synchronous commit (syncrep.c). Acknowledgements of the session before are
  // forgotten: the server may be another one.
  void start(Lsn after, Lsn confirmed);
  // A record with this position was given out (or waits to be). False: not newer than the last.
  bool emitted(Lsn position);
  // All that committed up to here was given out, or held nothing for us: a keepalive's walEnd, the
  // end of a transaction without effect. In the order of the stream.
  void passed(Lsn position);
  // Places never go back; lower ones, and places that were not given out, are ignored.
  void acknowledged(Lsn near_durable, Lsn far_durable, Lsn released);

  Reply reply() const { return {write_, flush_, apply_}; }
  // Set while keepalives are ahead of the last record.
  std::optional<Lsn> place_due() const;
  // `flush` has gone past what is durable far, because of retain_max; nullopt: not known yet.
  std::optional<bool> released_early() const;

 private:
  void settle();
  Lsn bound() const;  // flush follows the near journal at least at this distance
  Lsn level(Lsn durable) const {
    return durable >= emitted_ ? std::max(durable, passed_) : durable;
  }

  const std::uint64_t retain_max_;
  Lsn emitted_, passed_;
  Lsn near_, far_, released_, confirmed_;
  Lsn write_, flush_, apply_;
};

// A standby status update ('r') as the walsender reads it.
Bytes encode_status_update(const Reply& reply, WallTime now, bool reply_requested);

}  // namespace farshore::postgres
