// Any bytes as farshore.yaml and as a stream's definition: findings or a Config, never a crash; a
// Config's own definition agrees with itself.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "config/config.h"
#include "config/definition.h"
#include "config/differences.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace farshore::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)with_definition(StreamConfig{}, text);
  (void)definition_differences(StreamConfig{}, text);
  const ParseOutcome outcome = parse(text, "farshore.yaml");
  (void)text_of(outcome.errors, "farshore.yaml");
  if (!outcome.ok()) return 0;
  FARSHORE_CHECK(differences(outcome.config, outcome.config).empty(),
                 "a configuration differs from itself");
  for (const StreamConfig& stream : outcome.config.streams) {
    const std::string definition = definition_text(stream);
    const auto lines = definition_differences(stream, definition);
    FARSHORE_CHECK(lines.ok() && lines->empty(), "a definition differs from its stream: {}",
                   definition);
    const auto same = with_definition(stream, definition);
    FARSHORE_CHECK(same.ok() && definition_text(*same) == definition,
                   "a definition is not read back: {}", definition);
  }
  return 0;
}
