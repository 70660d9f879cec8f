// The control protocol: a line of text in, a line out. `ok`, `ok {…}` or `error: …`.
// clang-format off
//
//   cut                closes every connection and refuses new ones, until heal
//   drop               every packet is lost, new and old connections hang; after heal they go on
//   heal               ends cut and drop
//   swallow            a middlebox forgets the open connections: they stay open, nothing arrives
//   half-open          the connecting ends of all connections are reset, the others hear nothing
//   rtt 80ms           delay: half of it each way
//   rate 100Mbit|off   each way, all connections together
//   stats              one JSON object
//
// clang-format on
#pragma once

#include <string>
#include <variant>

#include "base/result.h"
#include "base/units.h"

namespace farshore::wan {

struct SetRtt {
  Duration rtt;
};
struct SetRate {
  std::optional<std::uint64_t> bits_per_second;
};
enum class Verb { cut, drop, heal, swallow, half_open, stats };

using Command = std::variant<Verb, SetRtt, SetRate>;

constexpr Duration kRttMax = 10s;

Result<Command> parse_command(const std::string& line);
Result<Duration> parse_rtt(const std::string& text);  // "80ms", "0"

}  // namespace farshore::wan
