#include "daemon/init.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/command_line.h"
#include "config/starter.h"
#include "identity/certificate.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

// Before anything is written.
Result<void> check_regions(const std::vector<std::string>& regions) {
  if (regions.size() == 1)
    return permanent(ErrorKind::invalid,
                     "--regions names '{}' alone: name two at least, the source's first",
                     regions.front());
  std::set<std::string> seen;
  for (const std::string& region : regions) {
    FARSHORE_TRY(identity::check_region_name(region));
    if (!seen.insert(region).second)
      return permanent(ErrorKind::invalid, "--regions names '{}' twice: each region once", region);
  }
  return {};
}

// Certificates without a farshore.yaml, which comes last: of an `init` that was interrupted, or of
// an installation whose file was moved. Only the user knows which.
Result<void> check_leftovers(os::Files& files, const std::string& tls, const std::string& file) {
  const auto names = files.list(tls);
  if (!names.ok()) return {};  // not there yet
  std::string found;
  for (const std::string& name : *names)
    if (name.ends_with(".key") || name.ends_with(".crt")) found += fmt::format(" {}/{}", tls, name);
  if (found.empty()) return {};
  return permanent(ErrorKind::conflict,
                   "there is no {}, but there are certificates: nothing was written. If an "
                   "interrupted `farshore init` left them: rm{}\nand run it again. If regions use "
                   "them, bring back the farshore.yaml that belongs to them",
                   file, found);
}

// "." and "prod/" too.
std::string name_of_folder(const std::string& folder) {
  auto path = std::filesystem::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

Result<void> make_all(const cli::InitArguments& arguments, cli::Output output) {
  auto world = os::make_real_world(std::nullopt);
  const std::string folder = arguments.folder.empty() ? "." : arguments.folder;
  config::StarterChoices choices;
  choices.name =
      config::legal_name(arguments.name.empty() ? name_of_folder(folder) : arguments.name);
  if (!arguments.regions.empty()) choices.regions = arguments.regions;
  const std::string file = folder + "/farshore.yaml";
  if (std::filesystem::exists(file))
    return permanent(ErrorKind::conflict,
                     "{} is there already: nothing was written; name another folder", file);
  FARSHORE_TRY(check_regions(choices.regions));
  const std::string tls = folder + "/tls";
  FARSHORE_TRY(check_leftovers(world->files(), tls, file));
  FARSHORE_TRY(world->files().create_folder(folder));
  FARSHORE_TRY(identity::make_authority(*world, tls, choices.name));
  for (const std::string& region : choices.regions)
    FARSHORE_TRY(identity::make_region_certificate(*world, tls, region));
  FARSHORE_TRY(os::replace_file(world->files(), file, config::starter_yaml(choices)));
  if (arguments.json) {
    auto files = nlohmann::ordered_json::array({file, tls + "/ca.crt", tls + "/ca.key"});
    for (const std::string& region : choices.regions)
      for (const char* kind : {".crt", ".key"}) files.push_back(tls + "/" + region + kind);
    output.out << nlohmann::ordered_json{{"name", choices.name}, {"files", files}}.dump(2) << "\n";
    return {};
  }
  output.out << fmt::format("{}\n{}/ca.crt, {}/ca.key\n", file, tls, tls);
  for (const std::string& region : choices.regions)
    output.out << fmt::format("{0}/{1}.crt, {0}/{1}.key\n", tls, region);
  output.out << fmt::format(
      "\nNext: write your regions, sites and streams into {}, then\n"
      "  farshore check --config {}\n"
      "Each region's machine needs the same farshore.yaml, ca.crt and its own region's .crt and "
      ".key; keep ca.key away\n"
      "from all of them.\n",
      file, file);
  return {};
}

}  // namespace

int init(const cli::InitArguments& arguments, cli::Output output) {
  auto made = make_all(arguments, output);
  if (made.ok()) return cli::kDone;
  output.err << "farshore: " << made.error().what << "\n";
  return made.error().kind == ErrorKind::invalid ? cli::kUsage : cli::kRefused;
}

}  // namespace farshore::daemon
