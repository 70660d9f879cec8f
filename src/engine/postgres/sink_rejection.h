// What a sink says when the target refuses a change. The error names table, columns, what was found
// there, transaction, place and remedy, and no value of a row: it goes into logs, events and the
// status of both regions. The values are in a report (docs/formats/rejected.md) that is saved in
// the leg's folder.
#pragma once

#include <string>

#include "change/transaction_cursor.h"
#include "engine/postgres/sink_options.h"
#include "engine/postgres/sink_pipeline.h"
#include "os/file.h"

namespace farshore::postgres {

struct Rejection {
  Error error;
  Bytes report;  // JSON lines; empty: the same change may pass later
};

// The failure of a row written with a trace, after it was rolled back. Asks the target for the row
// it has instead, so the pipeline must be settled and outside of a transaction.
// `options`: whose commands the remedy names.
Rejection explain_failure(Pipeline& pipeline, const Failure& failure, const CursorItem& item,
                          const SinkOptions& options);
// Saves the report as `folder`/`name`, readable by us only; the error then says where it is.
Error with_report(Rejection rejection, os::Files& files, const std::string& folder,
                  const std::string& name);
// The same transaction and place before an error of another origin (a table that cannot be mapped).
Error in_transaction(Error error, const CursorItem& item);

}  // namespace farshore::postgres
