#include "wan/control.h"

#include <map>

#include "wan/pipe.h"

namespace farshore::wan {

Result<Duration> parse_rtt(const std::string& text) {
  if (text == "0") return Duration::zero();
  FARSHORE_TRY_ASSIGN(const Duration rtt, parse_duration(text));
  if (rtt > kRttMax)
    return permanent(ErrorKind::invalid, "rtt '{}': at most {}", text, format_duration(kRttMax));
  return rtt;
}

Result<Command> parse_command(const std::string& line) {
  static const std::map<std::string, Verb> kVerbs = {
      {"cut", Verb::cut},         {"drop", Verb::drop},           {"heal", Verb::heal},
      {"swallow", Verb::swallow}, {"half-open", Verb::half_open}, {"stats", Verb::stats}};
  const std::size_t space = line.find(' ');
  const std::string word = line.substr(0, space);
  const std::string value = space == std::string::npos ? "" : line.substr(space + 1);
  if (word == "rtt") {
    FARSHORE_TRY_ASSIGN(const Duration rtt, parse_rtt(value));
    return Command(SetRtt{rtt});
  }
  if (word == "rate") {
    FARSHORE_TRY_ASSIGN(const std::optional<std::uint64_t> rate, parse_rate(value));
    return Command(SetRate{rate});
  }
  if (const auto verb = kVerbs.find(word); verb != kVerbs.end() && value.empty())
    return Command(verb->second);
  return permanent(ErrorKind::invalid,
                   "'{}': write cut, drop, heal, swallow, half-open, rtt 80ms, rate 100Mbit, stats",
                   line);
}

}  // namespace farshore::wan
