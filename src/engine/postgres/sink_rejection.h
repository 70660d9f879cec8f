// What a sink says when the target refuses a change: table, key, what was found there, transaction,
// place, remedy. Of row data only key values and what the server's own message quotes are named.
#pragma once

#include "change/transaction_cursor.h"
#include "engine/postgres/sink_pipeline.h"

namespace farshore::postgres {

// The failure of a row written with a trace, after it was rolled back. Asks the target for the row
// it has instead, so the pipeline must be settled and outside of a transaction. transient where the
// same change may pass later.
Error explain_failure(Pipeline& pipeline, const Failure& failure, const CursorItem& item);
// The same transaction and place before an error of another origin (a table that cannot be mapped).
Error in_transaction(Error error, const CursorItem& item);

}  // namespace farshore::postgres
