#include "engine/postgres/source_options.h"

namespace farshore::postgres {

std::string slot_name(const Uuid& stream) {
  std::string name = "farshore_";
  for (char c : stream.text())
    if (c != '-') name += c;
  return name;
}

std::string application_name(const Uuid& stream) {
  return "farshore_" + stream.short_text();
}

ConnectOptions connect_options(const SourceOptions& options, const std::string& part) {
  return {.conninfo = options.conninfo,
          .password = options.password,
          .application_name = application_name(options.stream) + (part.empty() ? "" : " " + part)};
}

std::vector<Setting> value_settings() {
  return {{"search_path", ""}, {"lc_monetary", "C"}};
}

}  // namespace farshore::postgres
