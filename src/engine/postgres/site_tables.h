// The tables of a stream, compared between its source and a target: what Site::describe and
// Site::compare do. Reads catalogs, and whether a table of the target holds a row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/postgres/site_question.h"

namespace farshore::postgres {

// The tables that the rules choose now, with their partitions, and what they need: JSON.
Result<std::string> describe_tables(Connection& connection, const std::vector<TableRule>& rules,
                                    Deadline deadline);
// Adds the findings to `ask`, whose connection this is. corrupt: not a description.
Result<void> compare_tables(SiteQuestions& ask, Connection& connection,
                            std::string_view description, Deadline deadline);

}  // namespace farshore::postgres
