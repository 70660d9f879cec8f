#include <ostream>
#include <set>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/connect.h"
#include "cli/help_text.h"
#include "cli/json_read.h"

namespace farshore::cli {

int run_agent(const Invocation& call) {
  const std::string config = call.config(), region = call.value("--region");
  if (region.empty())
    return call.refuse(kUsage, "say which region this agent runs: `farshore run --region REGION`");
  if (config.empty()) return call.refuse_without_config();
  return call.hooks.run({config, region, call.value("--log-format"), call.value("--log-level")},
                        call.output());
}

int run_init(const Invocation& call) {
  const std::string folder = call.value("DIR");
  return call.hooks.init(
      {folder.empty() ? "." : folder, call.value("--name"), call.all("--regions"), call.json()},
      call.output());
}

int run_cert_show(const Invocation& call) {
  const auto files = call.all("FILE");
  const std::string config = call.config();
  if (files.empty() && config.empty())
    return call.refuse_without_config("name a certificate: `farshore cert show FILE`");
  return call.hooks.cert_show({config, files, call.json()}, call.output());
}

int run_cert_renew(const Invocation& call) {
  const std::string config = call.config();
  if (config.empty()) return call.refuse_without_config();
  return call.hooks.cert_renew({config, call.value("--region"), call.json()}, call.output());
}

int run_journal_inspect(const Invocation& call) {
  return call.hooks.journal_inspect({call.value("FILE"), call.flag("--records"), call.json()},
                                    call.output());
}

int run_version(const Invocation& call) {
  if (call.json())
    print_json(call, {{"version", call.hooks.version}, {"build", call.hooks.build}});
  else
    call.terminal.out << "farshore " << call.hooks.version << "\n"
                      << (call.hooks.build.empty() ? "" : call.hooks.build + "\n");
  return kDone;
}

int run_completion(const Invocation& call) {
  call.terminal.out << completion_script(call.table, call.value("SHELL"));
  return kDone;
}

int run_man(const Invocation& call) {
  call.terminal.out << (call.flag("--markdown") ? markdown_of(call.table)
                                                : man_page(call.table, call.hooks.version));
  return kDone;
}

int run_complete(const Invocation& call) {
  const auto client = connect(call);
  if (!client.ok()) return kUsage;  // silent: it is asked while somebody types
  const Reply reply = (*client)->get("/v1/status");
  std::set<std::string> names;
  for (const Json& stream : at(reply.json, "streams")) {
    if (call.value("KIND") == "streams") {
      names.insert(text_at(stream, "name"));
      continue;
    }
    names.insert(text_at(stream, "from"));
    for (const Json& target : at(stream, "targets")) names.insert(text_at(target, "site"));
  }
  for (const std::string& name : names) call.terminal.out << name << "\n";
  return reply.exit_code();
}

}  // namespace farshore::cli
