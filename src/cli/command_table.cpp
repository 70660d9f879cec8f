#include "cli/command_table.h"

#include <fmt/format.h>

#include "cli/commands.h"

namespace farshore::cli {
namespace {

const Completion kNone{};
const Completion kFile{.kind = Completion::Kind::file};
const Completion kFolder{.kind = Completion::Kind::folder};
const Completion kStream{.kind = Completion::Kind::stream};
const Completion kSite{.kind = Completion::Kind::site};

Completion words(std::vector<std::string> list) {
  return {.kind = Completion::Kind::words, .words = std::move(list)};
}

std::vector<Option> global_options() {
  return {
      {"--config", "FILE",
       "Configuration; else FARSHORE_CONFIG, ./farshore.yaml, /etc/farshore/farshore.yaml", kFile},
      {"--region", "REGION",
       "The region of the agent that is meant, when the configuration leaves more than one; an "
       "https agent's certificate must bear this name",
       kNone},
      {"--api", "URL",
       "Where the agent answers; else FARSHORE_API, the configuration, http://127.0.0.1:7433",
       kNone},
      {"--token-file", "FILE",
       "File with the token that the agent asks for; else FARSHORE_TOKEN_FILE, `api_token_file`",
       kFile},
      {"--ca", "FILE",
       "Certificate authority of an https agent, PEM; else that of the region's `tls`", kFile},
      {"--json", "", "Answers in JSON, whose form is stable", kNone},
      {"--yes", "", "Does not ask before a verb that deletes or passes over data", kNone},
      {"--help", "", "Says what a command does", kNone},
  };
}

const Argument kStreamArgument{"STREAM", "Name of the stream", kStream};
const Option kToOption{"--to", "SITE", "Only this target; else all targets of the stream", kSite};

void add_look(std::vector<Command>& commands) {
  commands.push_back(
      {.path = {"status"},
       .summary = "Show each stream and target: state and why, three lags, backlog, rates",
       .details =
           "CAPTURE, DURABLE and APPLIED are ages: now minus the newest commit that is in the near "
           "journal, "
           "durable in the target's region (this is the RPO you really have), visible in the "
           "target. With STREAM "
           "all that is known of that stream is shown. What is not known is 'unknown', never 0.",
       .arguments = {{"STREAM", "Only this stream, with all details", kStream, false}},
       .options = {{"--watch", "", "Draws again each second, until interrupted", kNone},
                   {"--for", "TIME", "Ends --watch after this time, like 20s", kNone},
                   {"--wide", "", "Also transit times, places and what the source keeps", kNone}},
       .examples =
           {"farshore status", "farshore status --watch --wide", "farshore status orders",
            "farshore status --json | jq '.streams[].targets[].lag.durability.age_seconds'"},
       .run = run_status});
  commands.push_back(
      {.path = {"events"},
       .summary = "Show what happened, when, why and by whom",
       .arguments = {},
       .options = {{"--follow", "", "Goes on with what happens next, until interrupted", kNone},
                   {"--since", "WHEN", "From this id, time (2026-11-24T16:00:00Z) or age (2h) on",
                    kNone},
                   {"--stream", "STREAM", "Only of this stream", kStream},
                   {"--severity", "LEVEL", "Only of this severity and above",
                    words({"info", "warning", "error"})},
                   {"--limit", "N",
                    "At most so many, 1 to 1000: the newest; with --since the oldest from there on",
                    kNone, false, "100"}},
       .examples = {"farshore events", "farshore events --follow --severity warning",
                    "farshore events --since 2h"},
       .run = run_events});
}

void add_prepare(std::vector<Command>& commands, const Hooks& hooks) {
  commands.push_back(
      {.path = {"check"},
       .summary = "Find all that would stop a stream or lose data, each with its remedy",
       .details =
           "Asks the running agent, and where this machine runs those of several regions, each "
           "of them unless --region says one; when none answers, looks from here. Also "
           "compares the tables of each stream at its source with those at its targets. "
           "Exits 1 when there is an error or a warning, 0 when there are only notes.",
       .arguments = {{"STREAM", "Only this stream", kStream, false}},
       .options = {{"--offline", "", "Looks from here and does not ask the agent", kNone}},
       .examples = {"farshore check", "farshore check orders --json"},
       .run = run_check});
  if (!hooks.check) commands.back().options.clear();
  commands.push_back(
      {.path = {"grants"},
       .summary = "Print the SQL that gives a site's user the least privilege it needs",
       .details = "The SQL fits the server's version. Its first line says who may run it.",
       .arguments = {{"SITE", "Name of the site", kSite}},
       .options = {{"--role", "ROLE", "Only what this part needs; else both",
                    words({"source", "target"})}},
       .examples = {"farshore grants orders-us --role source > grants.sql && psql \"$ADMIN_DSN\" < "
                    "grants.sql"},
       .run = run_grants});
}

void add_streams(std::vector<Command>& commands) {
  commands.push_back(
      {.path = {"stream", "pause"},
       .summary = "Stop applying to a target; the far journal stays current",
       .arguments = {kStreamArgument},
       .options = {kToOption,
                   {"--at", "TIME", "Goes on up to commits of this time, then pauses", kNone}},
       .examples = {"farshore stream pause orders --to orders-eu",
                    "farshore stream pause orders --at 2026-11-24T16:00:00Z"},
       .run = run_stream_verb});
  commands.push_back({.path = {"stream", "resume"},
                      .summary = "Go on after a pause, or after what made a leg fail was put right",
                      .arguments = {kStreamArgument},
                      .options = {kToOption},
                      .examples = {"farshore stream resume orders"},
                      .run = run_stream_verb});
  commands.push_back(
      {.path = {"stream", "resnapshot"},
       .summary = "Copy the stream's tables, or one of them, again",
       .details = "Asks first: the target's rows of these tables are replaced.",
       .arguments = {kStreamArgument},
       .options = {kToOption,
                   {"--table", "TABLE", "Only this table, as the source names it: public.orders",
                    kNone}},
       .examples = {"farshore stream resnapshot orders --table public.ledger --to orders-eu"},
       .run = run_stream_verb});
  commands.push_back(
      {.path = {"stream", "skip"},
       .summary = "Pass over one transaction that the target cannot hold",
       .details = "Asks first: the target then differs from the source by this transaction. Its "
                  "content is saved and an event says where. Only the next transaction of a "
                  "target that is paused or has failed: its reason in `farshore status` names "
                  "PLACE.",
       .arguments = {kStreamArgument, {"PLACE", "The transaction, epoch:sequence", kNone}},
       .options = {kToOption},
       .examples = {"farshore stream skip orders 1:991230 --to orders-eu"},
       .run = run_stream_verb});
  commands.push_back(
      {.path = {"stream", "remove"},
       .summary = "End a stream, or one of its targets, and delete what it holds",
       .details = "Asks first: slot, publication, journals and progress are "
                  "deleted; tables and rows stay, and the schema farshore with empty tables "
                  "in a target. Then take it out of farshore.yaml, else it begins "
                  "anew.",
       .arguments = {kStreamArgument},
       .options = {kToOption},
       .examples = {"farshore stream remove orders --to orders-ap"},
       .run = run_stream_verb});
}

void add_agent(std::vector<Command>& commands, const Hooks& hooks) {
  if (hooks.init)
    commands.push_back(
        {.path = {"init"},
         .summary =
             "Write a commented starter farshore.yaml, and keys and certificates for its regions",
         .arguments = {{"DIR", "Folder; else this one", kFolder, false}},
         .options = {{"--name", "NAME", "Name of the configuration; else the folder's", kNone},
                     {"--regions", "REGION",
                      "A region, once for each of two or more; else two examples", kNone, true}},
         .examples = {"farshore init shop --regions us-east-1 --regions eu-west-1"},
         .run = run_init});
  if (hooks.run)
    commands.push_back(
        {.path = {"run"},
         .summary = "Run the agent of one region, in the foreground",
         .details =
             "SIGTERM and SIGINT end it cleanly, SIGHUP reads the configuration again. It tells "
             "systemd when it is "
             "ready. A second agent for the same region refuses and names the one that runs.",
         .options = {{"--log-format", "FORMAT", "Form of the log on stderr",
                      words({"text", "json"}), false, "text"},
                     {"--log-level", "LEVEL", "What the log says",
                      words({"info", "warning", "error"}), false, "info"}},
         .examples = {"farshore run --region us-east-1 --config /etc/farshore/farshore.yaml"},
         .run = run_agent});
}

void add_inspect(std::vector<Command>& commands, const Hooks& hooks) {
  if (hooks.cert_show)
    commands.push_back({.path = {"cert", "show"},
                        .summary = "Show whose certificates they are and when they expire",
                        .arguments = {{"FILE", "Certificates; else those of the configuration",
                                       kFile, false, true}},
                        .examples = {"farshore cert show"},
                        .run = run_cert_show});
  if (hooks.cert_renew)
    commands.push_back(
        {.path = {"cert", "renew"},
         .summary = "Make new certificates for the regions whose keys are here",
         .details =
             "With --region only that region's. A running agent shows the new one on each new "
             "connection.",
         .examples = {"farshore cert renew --region us-east-1"},
         .run = run_cert_renew});
  if (hooks.journal_inspect)
    commands.push_back(
        {.path = {"journal", "inspect"},
         .summary = "Check and describe a journal's files, without row data",
         .details = "Segments with their places, preambles and damage, whether or not an agent "
                    "runs over them. Exits 1 when anything is damaged, or torn before the end; a "
                    "torn tail of the newest segment is none.",
         .arguments = {{"FILE",
                        "A segment, `history`, `consumers`, the journal's folder, or a .records "
                        "file of a skipped transaction",
                        kFile}},
         .options = {{"--records", "", "A line for each record", kNone}},
         .examples = {"farshore journal inspect "
                      "/var/lib/farshore/streams/orders/source/journal/"
                      "00000000000000000001-0000000001.segment"},
         .run = run_journal_inspect});
}

void add_self(std::vector<Command>& commands) {
  commands.push_back({.path = {"version"},
                      .summary = "Print the version",
                      .examples = {"farshore version"},
                      .run = run_version});
  commands.push_back(
      {.path = {"completion"},
       .summary = "Print the completion script of a shell",
       .arguments = {{"SHELL", "bash, zsh or fish", words({"bash", "zsh", "fish"})}},
       .examples = {"source <(farshore completion bash)",
                    "farshore completion zsh > ~/.zfunc/_farshore",
                    "farshore completion fish > ~/.config/fish/completions/farshore.fish"},
       .run = run_completion});
  commands.push_back({.path = {"man"},
                      .summary = "Print the man page",
                      .options = {{"--markdown", "", "The list of commands as Markdown", kNone}},
                      .examples = {"farshore man | man -l -"},
                      .run = run_man});
  commands.push_back({.path = {"complete"},
                      .summary = "Print the names that completion offers",
                      .arguments = {{"KIND", "streams or sites", words({"streams", "sites"})}},
                      .run = run_complete,
                      .hidden = true});
}

}  // namespace

std::string Command::full_name() const {
  return fmt::format("{}", fmt::join(path, " "));
}

std::string Command::usage() const {
  std::string text = "farshore " + full_name();
  for (const Argument& argument : arguments) {
    const std::string name = argument.name + (argument.repeated ? "…" : "");
    text += argument.required ? " " + name : " [" + name + "]";
  }
  for (const Option& option : options)
    text += fmt::format(" [{}{}{}]{}", option.name, option.value.empty() ? "" : " ", option.value,
                        option.repeated ? "…" : "");
  return text;
}

CommandTable make_command_table(const Hooks& hooks) {
  CommandTable table{.globals = global_options()};
  add_agent(table.commands, hooks);
  add_prepare(table.commands, hooks);
  add_look(table.commands);
  add_streams(table.commands);
  add_inspect(table.commands, hooks);
  add_self(table.commands);
  return table;
}

}  // namespace farshore::cli
