// farshore_wan: a WAN on one machine, for tests and the quickstart. It forwards TCP connections
// with a round trip time, a rate and bounded bytes in flight, and fails in the ways that WANs fail.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "wan/control.h"
#include "wan/proxy.h"

namespace farshore::wan {
namespace {

struct Arguments {
  std::vector<std::string> pairs, far_pairs;
  std::string listen, to, control, rtt = "0", rate = "off";
};

Result<void> add_pair(ProxyOptions& options, const std::string& text, bool from_far) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos)
    return permanent(ErrorKind::invalid, "pair '{}': write LISTEN=TARGET", text);
  FARSHORE_TRY_ASSIGN(const Address listen, parse_address(text.substr(0, equals)));
  FARSHORE_TRY_ASSIGN(const Address target, parse_address(text.substr(equals + 1)));
  options.pairs.push_back({listen, target, from_far});
  return {};
}

Result<ProxyOptions> options_of(const Arguments& arguments) {
  ProxyOptions options;
  if (!arguments.listen.empty() || !arguments.to.empty())
    FARSHORE_TRY(add_pair(options, arguments.listen + "=" + arguments.to, false));
  for (const std::string& pair : arguments.pairs) FARSHORE_TRY(add_pair(options, pair, false));
  for (const std::string& pair : arguments.far_pairs) FARSHORE_TRY(add_pair(options, pair, true));
  if (options.pairs.empty())
    return permanent(ErrorKind::invalid, "no pair: name one with --listen and --to, or --pair");
  if (!arguments.control.empty()) {
    FARSHORE_TRY_ASSIGN(options.control, parse_address(arguments.control));
  }
  FARSHORE_TRY_ASSIGN(options.rtt, parse_rtt(arguments.rtt));
  FARSHORE_TRY_ASSIGN(options.rate, parse_rate(arguments.rate));
  return options;
}

int run(const Arguments& arguments) {
  const auto options = options_of(arguments);
  if (!options) {
    fmt::print(stderr, "farshore_wan: {}\n", options.error().what);
    return 2;
  }
  Proxy proxy(*options);
  Result<void> done = proxy.start();
  if (done) {
    fmt::print("farshore_wan: ready\n");
    std::fflush(stdout);
    done = proxy.run();
  }
  if (done) return 0;
  fmt::print(stderr, "farshore_wan: {}\n", done.error().what);
  return 1;
}

}  // namespace
}  // namespace farshore::wan

int main(int argc, char** argv) {
  farshore::wan::Arguments arguments;
  CLI::App app(
      "A WAN on one machine. Control lines: cut, drop, heal, swallow, half-open, rtt 80ms, "
      "rate 100Mbit, stats.");
  app.add_option("--listen", arguments.listen, "where callers of the near region connect");
  app.add_option("--to", arguments.to, "where their connections lead");
  app.add_option("--pair", arguments.pairs, "one more LISTEN=TARGET");
  app.add_option("--far-pair", arguments.far_pairs, "LISTEN=TARGET for callers of the far region");
  app.add_option("--rtt", arguments.rtt, "round trip time (0)");
  app.add_option("--rate", arguments.rate, "bits per second each way, as 100Mbit (off)");
  app.add_option("--control", arguments.control, "where control lines are taken");
  CLI11_PARSE(app, argc, argv);
  return farshore::wan::run(arguments);
}
