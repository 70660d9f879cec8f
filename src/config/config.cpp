#include "config/config.h"

#include <algorithm>

#include "base/plural.h"
#include "config/combinations.h"
#include "config/reader.h"
#include "config/yaml_tree.h"

namespace farshore::config {
namespace {

template <class Named>
const Named* find_by_name(const std::vector<Named>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

constexpr std::size_t kNamesShown = 10;

template <class Named>
Error unknown(ErrorKind kind, const Config& config, const char* what, std::string_view name,
              const std::vector<Named>& all) {
  std::string names;
  for (std::size_t i = 0; i < std::min(all.size(), kNamesShown); ++i)
    names += (i == 0 ? "" : ", ") + all[i].name;
  if (all.size() > kNamesShown) names += fmt::format(" and {} more", all.size() - kNamesShown);
  return permanent(kind, "no {} '{}' in {}: it names {}", what, name, config.file,
                   names.empty() ? "none" : names);
}

void sort_and_unite(std::vector<Finding>& findings) {
  std::sort(findings.begin(), findings.end());
  findings.erase(std::unique(findings.begin(), findings.end()), findings.end());
}

}  // namespace

const RegionConfig* Config::region(std::string_view name) const {
  return find_by_name(regions, name);
}
const SiteConfig* Config::site(std::string_view name) const {
  return find_by_name(sites, name);
}
const StreamConfig* Config::stream(std::string_view name) const {
  return find_by_name(streams, name);
}

Error unknown_region(const Config& config, std::string_view name) {
  return unknown(ErrorKind::invalid, config, "region", name, config.regions);
}
Error unknown_site(const Config& config, std::string_view name) {
  return unknown(ErrorKind::not_found, config, "site", name, config.sites);
}
Error unknown_stream(const Config& config, std::string_view name) {
  return unknown(ErrorKind::not_found, config, "stream", name, config.streams);
}

Mark Config::mark(std::string path) const {
  while (!path.empty()) {
    if (const auto found = marks.find(path); found != marks.end()) return found->second;
    const std::size_t cut = path.find_last_of(".[");
    path.resize(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

ParseOutcome parse(std::string_view text, const std::string& file) {
  ParseOutcome outcome;
  outcome.config.file = file;
  if (text.size() > kFileBytesMax) {
    outcome.errors.push_back({{}, fmt::format("is larger than {}", format_bytes(kFileBytesMax))});
    return outcome;
  }
  const YamlNode root = parse_yaml(text, outcome.errors);
  if (!outcome.errors.empty() && root.kind != YamlNode::Kind::map) return outcome;
  Reader(outcome.config, outcome.errors).read(root);
  check_combinations(outcome.config, outcome.errors);
  sort_and_unite(outcome.errors);
  sort_and_unite(outcome.config.warnings);
  return outcome;
}

std::string error_text(const ParseOutcome& outcome) {
  const std::string& file = outcome.config.file;
  return fmt::format("{} has {}:\n{}", file, counted(outcome.errors.size(), "error"),
                     text_of(outcome.errors, file));
}

Result<Config> load(os::Files& files, const std::string& file) {
  auto text = os::read_file(files, file);
  if (!text && text.error().kind == ErrorKind::not_found)
    return permanent(ErrorKind::invalid,
                     "there is no configuration '{}': write one with `farshore init`, or say where "
                     "it is with --config FILE",
                     file);
  if (!text && files.list(file).ok())
    return permanent(ErrorKind::invalid,
                     "configuration '{}' is a folder: name the file in it with --config FILE",
                     file);
  if (!text) return within("configuration", std::move(text).error());
  ParseOutcome outcome = parse(*text, file);
  if (!outcome.ok()) return Error{ErrorKind::invalid, Retry::no, error_text(outcome)};
  return std::move(outcome.config);
}

}  // namespace farshore::config
