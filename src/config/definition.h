// Definition: what a stream is, as its source's region owns it. It travels as a
// journal record of kind `definition`; a target's region compares it with its own file and takes
// everything from it but addresses, credentials and limits. Format: docs/formats/definition.md.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace farshore::config {

constexpr int kDefinitionFormat = 1;
constexpr std::size_t kDefinitionMax = 1_MiB;  // it is one record's payload

// Canonical: two streams that are the same have the same text.
std::string definition_text(const StreamConfig& stream);

// "streams.orders.to.orders-eu.apply_delay: 1h -> 0s": ours, then the owner's. Empty: they agree. A
// key that only a newer version knows is a difference too; one that an older version does not name
// is not, while ours is the default. invalid: the text is no definition of a format that we know.
Result<std::vector<std::string>> definition_differences(const StreamConfig& ours,
                                                        std::string_view definition);

// The stream as the owner defines it, with our own limits. Keys that we do not know are passed
// over.
Result<StreamConfig> with_definition(const StreamConfig& ours, std::string_view definition);

}  // namespace farshore::config
