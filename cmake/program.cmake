# Compiler settings that every target shares, and the shapes of the programs that are not modules.
# -Wrestrict: g++ 12 reports std::string operations at -O2 that are none (GCC bug 105651).
# -Wdeprecated-declarations: clang reports what std::stable_sort of g++ 12's library uses.
set(FARSHORE_WARNINGS -Wall -Wextra -Werror -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)

# What the test programs' own files are compiled with besides; the modules they test are not. With sanitizers (preset
# asan) it takes from the tests the undefined-behaviour checks that are made at every access to an object: these
# make such a file take half as long again to compile, and a test that reads through a bad pointer is stopped by
# AddressSanitizer all the same.
set(FARSHORE_TEST_OPTIONS "" CACHE STRING "Compiler options of the test programs' own files")

# fuzz_target(NAME journal_record_fuzz SOURCE record_fuzz.cpp DEPS journal)
# With FARSHORE_FUZZ a libFuzzer program; else a program that replays the corpus files given to it.
function(fuzz_target)
  cmake_parse_arguments(F "" "NAME;SOURCE" "DEPS" ${ARGN})
  set(deps)
  foreach(dep IN LISTS F_DEPS)
    list(APPEND deps farshore_${dep})
  endforeach()
  if(FARSHORE_FUZZ)
    add_executable(${F_NAME} ${F_SOURCE})
    target_compile_options(${F_NAME} PRIVATE -fsanitize=fuzzer)
    target_link_options(${F_NAME} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${F_NAME} ${F_SOURCE} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
    file(GLOB corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${F_NAME}/*)
    add_test(NAME ${F_NAME} COMMAND ${F_NAME} ${corpus})
    set_tests_properties(${F_NAME} PROPERTIES LABELS fuzz TIMEOUT 300)
  endif()
  target_compile_options(${F_NAME} PRIVATE ${FARSHORE_WARNINGS})
  target_link_libraries(${F_NAME} PRIVATE ${deps})
endfunction()
