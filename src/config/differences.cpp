#include "config/differences.h"

#include "config/description.h"

namespace farshore::config {
namespace {

template <class Named, class Compare>
void compare_named(std::vector<std::string>& lines, const std::string& section,
                   const std::vector<Named>& before, const std::vector<Named>& after,
                   Compare compare) {
  const auto find = [](const std::vector<Named>& all, const std::string& name) -> const Named* {
    for (const Named& one : all)
      if (one.name == name) return &one;
    return nullptr;
  };
  for (const Named& one : before) {
    const std::string path = section + "." + one.name;
    if (const Named* now = find(after, one.name)) {
      compare(path, one, *now);
    } else {
      lines.push_back(path + ": removed");
    }
  }
  for (const Named& one : after)
    if (find(before, one.name) == nullptr)
      lines.push_back(fmt::format("{}.{}: added", section, one.name));
}

}  // namespace

std::vector<std::string> differences(const Config& before, const Config& after) {
  std::vector<std::string> lines;
  if (before.name != after.name)
    lines.push_back(fmt::format("name: {} -> {}", before.name, after.name));
  const auto compare_keys = [&lines](const std::string& path, auto keys, const auto& one,
                                     const auto& now) {
    add_differences(lines, path, values_of(keys, one, Extent::everything),
                    values_of(keys, now, Extent::everything));
  };
  compare_keys("link", link_keys(), before.link, after.link);
  compare_named(
      lines, "regions", before.regions, after.regions,
      [&](auto& path, auto& one, auto& now) { compare_keys(path, region_keys(), one, now); });
  compare_named(lines, "sites", before.sites, after.sites, [&](auto& path, auto& one, auto& now) {
    compare_keys(path, site_keys(), one, now);
  });
  compare_named(lines, "streams", before.streams, after.streams,
                [&](auto& path, auto& one, auto& now) {
                  add_differences(lines, path, describe(one, Extent::everything),
                                  describe(now, Extent::everything));
                });
  return lines;
}

}  // namespace farshore::config
