#include "base/check.h"

#include <cstring>

namespace farshore {

void fail_check(const char* file, int line, const char* condition, const std::string& message) {
  const char* short_file = std::strstr(file, "src/");
  throw CheckFailed(fmt::format("invariant broken at {}:{}: {} ({})",
                                short_file ? short_file : file, line, message, condition));
}

}  // namespace farshore
