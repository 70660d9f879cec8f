#include <ostream>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/connect.h"
#include "cli/json_read.h"
#include "cli/status_text.h"
#include "cli/wait.h"
#include "os/real/real_world.h"

namespace farshore::cli {
namespace {

constexpr Duration kWatchEvery = 1s;

Reply ask(const Invocation& call, ApiClient& client) {
  const std::string stream = call.value("STREAM");
  return client.get(stream.empty() ? "/v1/status" : "/v1/streams/" + escaped(stream));
}

std::string shown(const Invocation& call, const Json& json) {
  if (!call.value("STREAM").empty()) return stream_text(json, call.terminal);
  return status_text(json, call.terminal, call.flag("--wide"));
}

// On a terminal in place, without clearing first: no flicker, and the last picture stays when
// interrupted.
void draw(const Invocation& call, const std::string& text, bool first) {
  std::ostream& out = call.terminal.out;
  if (!call.terminal.out_is_terminal) {
    out << text << "\n" << std::flush;
    return;
  }
  std::string frame = first ? "\x1b[2J\x1b[H" : "\x1b[H";
  for (char c : text) frame += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
  out << frame << "\x1b[J" << std::flush;
}

// An agent that does not answer is shown and asked again; the exit code is that of the last answer.
int watch(const Invocation& call, ApiClient& client, Duration length) {
  const Deadline end = Deadline::after(os::real_monotonic_now(), length);
  MonotonicTime next = os::real_monotonic_now();
  for (bool first = true;; first = false) {
    const Reply reply = ask(call, client);
    if (reply.outcome == Reply::Outcome::refused) return refuse(call, reply);
    if (call.json() && reply.answered())
      call.terminal.out << reply.json.dump() << "\n" << std::flush;
    else if (call.json())
      call.refuse(kUnreachable, reply.error.what);
    else
      draw(call,
           reply.answered() ? shown(call, reply.json) : wrapped(reply.error.what, 90, "") + "\n",
           first);
    if (!call.terminal.out) return kDone;  // whoever read us has gone
    next = std::max(next + kWatchEvery, os::real_monotonic_now());
    if (end.reached(next)) return reply.exit_code();
    wait_until(next);
  }
}

}  // namespace

int run_status(const Invocation& call) {
  Duration length = Duration::max();
  if (const std::string text = call.value("--for"); !text.empty()) {
    const auto parsed = parse_duration(text);
    if (!parsed.ok()) return call.refuse(kUsage, "--for " + parsed.error().what);
    length = *parsed;
  }
  const auto client = connect(call);
  if (!client.ok()) return call.refuse(kUsage, client.error().what);
  if (call.flag("--watch") || call.flag("--for")) return watch(call, **client, length);
  const Reply reply = ask(call, **client);
  if (!reply.answered()) return refuse(call, reply);
  if (call.json())
    print_json(call, reply.json);
  else
    call.terminal.out << shown(call, reply.json);
  return kDone;
}

}  // namespace farshore::cli
