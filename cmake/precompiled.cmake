# With FARSHORE_PRECOMPILE (preset asan, the one that ./test builds anew each time) the headers of others that nearly
# every file includes are read once: a quarter of the whole build. The other presets go without, so that a file that
# forgets an include is noticed, and so that ccache serves them.
option(FARSHORE_PRECOMPILE "Read common headers of others once for all files (GCC)" OFF)
set(FARSHORE_COMMON_HEADERS <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <deque> <functional>
  <map> <memory> <mutex> <optional> <set> <span> <stop_token> <string> <string_view> <thread> <utility> <variant> <vector>
  <fmt/format.h> <fmt/ranges.h>)

# precompile(KIND module|test TARGET…): these targets use what their kind has read once.
function(precompile)
  cmake_parse_arguments(P "" "KIND" "" ${ARGN})
  if(FARSHORE_PRECOMPILE)
    foreach(target IN LISTS P_UNPARSED_ARGUMENTS)
      target_precompile_headers(${target} REUSE_FROM precompiled_${P_KIND})
    endforeach()
  endif()
endfunction()

if(FARSHORE_PRECOMPILE)
  file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cpp "")
  add_library(precompiled_module OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_compile_options(precompiled_module PRIVATE ${FARSHORE_WARNINGS})
  target_link_libraries(precompiled_module PRIVATE fmt::fmt Threads::Threads)
  target_precompile_headers(precompiled_module PRIVATE ${FARSHORE_COMMON_HEADERS})

  add_library(precompiled_test OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_compile_options(precompiled_test PRIVATE ${FARSHORE_WARNINGS} ${FARSHORE_TEST_OPTIONS})
  target_link_libraries(precompiled_test PRIVATE fmt::fmt Threads::Threads GTest::gmock GTest::gtest_main)
  target_precompile_headers(precompiled_test PRIVATE ${FARSHORE_COMMON_HEADERS} <sstream> <gtest/gtest.h> <gmock/gmock.h>)
endif()
