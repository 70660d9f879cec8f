// RowVisibility: which source transactions a copied table already shows. Parses PostgreSQL's
// pg_snapshot text form "xmin:xmax:xip,xip,..." (64-bit transaction ids) and answers for the 32-bit
// ids that a change stream carries.
//
// Ask with the id of the top-level transaction: a snapshot lists only those, its subtransactions
// share their fate.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace farshore::postgres {

class RowVisibility {
 public:
  static Result<RowVisibility> parse(std::string_view snapshot);  // invalid: names the text

  // True if the snapshot shows what transaction `xid` (its low 32 bits) wrote, given that it has
  // committed.
  bool shows(std::uint64_t xid) const;

 private:
  std::uint64_t xmin_ = 0;
  std::uint64_t xmax_ = 0;
  std::vector<std::uint64_t> running_;  // sorted
};

}  // namespace farshore::postgres
