# What makes a whole build shorter, in the presets that are built whole: release by ./quickstart, asan by ./test. The
# others go without, so that a file that forgets an include is noticed, and so that ccache serves each file by itself.
option(FARSHORE_UNITY "Compile six files of a module as one: less than half the time" OFF)
option(FARSHORE_PRECOMPILE "Read the common headers of the tests once for all (GCC)" OFF)

# join_sources(TARGET…): names in anonymous namespaces are then unique within a module, also where it is off.
function(join_sources)
  if(FARSHORE_UNITY)
    set_target_properties(${ARGN} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
endfunction()

# precompile(TARGET…): test programs.
function(precompile)
  if(FARSHORE_PRECOMPILE)
    foreach(target IN LISTS ARGN)
      target_precompile_headers(${target} REUSE_FROM precompiled_test)
    endforeach()
  endif()
endfunction()

if(FARSHORE_PRECOMPILE)
  file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cpp "")
  add_library(precompiled_test OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_compile_options(precompiled_test PRIVATE ${FARSHORE_WARNINGS} ${FARSHORE_TEST_OPTIONS})
  target_link_libraries(precompiled_test PRIVATE fmt::fmt Threads::Threads GTest::gmock GTest::gtest_main)
  target_precompile_headers(precompiled_test PRIVATE <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint>
    <deque> <functional> <map> <memory> <mutex> <optional> <set> <span> <sstream> <stop_token> <string> <string_view>
    <thread> <utility> <variant> <vector> <fmt/format.h> <fmt/ranges.h> <gtest/gtest.h> <gmock/gmock.h>)
endif()
