// Golden files, for tests: what a release wrote must be read for ever. FARSHORE_GOLDEN_WRITE=1
// writes them anew: only for a new version, into a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"

namespace farshore {

// The bytes of the file `name` under tests/golden; `now` is what this build would write.
inline Bytes golden_file(const std::string& name, const Bytes& now) {
  const std::filesystem::path path = std::string(FARSHORE_GOLDEN) + "/" + name;
  if (std::getenv("FARSHORE_GOLDEN_WRITE") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << now;
  }
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_FALSE(bytes.str().empty()) << path;
  return bytes.str();
}

}  // namespace farshore
