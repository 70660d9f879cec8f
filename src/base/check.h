// FARSHORE_CHECK: an invariant that stays on in release builds. A broken one throws CheckFailed,
// which only the owner of a thread catches (base/guarded.h, or its module's own): it stops that
// stream, not the agent.
#pragma once

#include <fmt/format.h>

#include <stdexcept>

namespace farshore {

class CheckFailed : public std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] void fail_check(const char* file, int line, const char* condition,
                             const std::string& message);

}  // namespace farshore

#define FARSHORE_CHECK(condition, ...)                                                  \
  do {                                                                                  \
    if (!(condition)) [[unlikely]]                                                      \
      ::farshore::fail_check(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
  } while (false)
