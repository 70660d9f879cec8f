// farshore: one binary; the commands are in cli/, what they need of the other parts is bound here.
#include <malloc.h>

#include <iostream>

#include "api/views_json.h"
#include "cli/command_line.h"
#include "daemon/certificates.h"
#include "daemon/check.h"
#include "daemon/init.h"
#include "daemon/run.h"
#include "journal/inspect.h"
#include "os/real/real_world.h"

namespace farshore::daemon {
namespace {

int inspect(const cli::InspectArguments& arguments, cli::Output output) {
  auto world = os::make_real_world(std::nullopt);
  const auto shown = journal::inspect_file(world->files(), arguments.file,
                                           {.records = arguments.records, .json = arguments.json});
  if (!shown.ok()) {
    output.err << "farshore: " << shown.error().what << "\n";
    return cli::kRefused;
  }
  output.out << shown->text;
  return shown->damaged ? cli::kRefused : cli::kDone;
}

cli::Hooks hooks() {
  return {
      .version = FARSHORE_VERSION,
      .build = fmt::format("g++ {}, C++20", __VERSION__),
      .api_endpoint = api_endpoint,
      .regions_here = regions_here,
      .check = check_text,
      .grants = grants_text,
      .run = [](const cli::RunArguments& a, cli::Output o) { return run(a, o, FARSHORE_VERSION); },
      .init = init,
      .cert_show = show_certificates,
      .cert_renew = renew_certificates,
      .journal_inspect = inspect};
}

}  // namespace
}  // namespace farshore::daemon

int main(int argc, char** argv) {
  // glibc gives threads pools of their own, up to eight a core, and what one pool holds free no
  // other uses; and it raises the size from which a block is given back when freed to that of the
  // largest so far. Fixed, resident memory depends little on how long a transaction goes on.
  (void)mallopt(M_ARENA_MAX, 2);
  (void)mallopt(M_MMAP_THRESHOLD, 512 * 1024);
  (void)mallopt(M_TRIM_THRESHOLD, 2 * 1024 * 1024);
  return farshore::cli::run(argc, argv, farshore::daemon::hooks());
}
