// RandomStream: a stream of numbers that depends on the seed and its purpose only (splitmix64).
// Apart streams for apart purposes keep a change in one place from shifting the chances of all
// others.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/checksum.h"
#include "base/units.h"

namespace farshore::os::sim {

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view purpose) : state_(chain_hash(seed, purpose)) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 .. count-1; count > 0.
  std::uint64_t below(std::uint64_t count) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * count) >> 64);
  }
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + below(most - least + 1);
  }
  bool chance(double probability) {
    return probability > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < probability;
  }
  Duration duration(Duration least, Duration most) {
    return least + Duration(below(static_cast<std::uint64_t>((most - least).count()) + 1));
  }

 private:
  std::uint64_t state_;
};

}  // namespace farshore::os::sim
