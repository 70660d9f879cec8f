// The reference of all keys as Markdown tables, made from the table of keys:
// docs/operating/configuration.md holds it, and a test compares the two.
#pragma once

#include <string>

namespace farshore::config {

std::string reference_markdown();

}  // namespace farshore::config
