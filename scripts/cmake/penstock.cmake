# Options, warnings and the few functions that every folder's CMakeLists.txt uses.
option(PENSTOCK_FUZZ "build libFuzzer binaries (clang only)" OFF)
set(PENSTOCK_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined")
option(PENSTOCK_PCH "tests share precompiled headers: for one build of everything; clang-tidy cannot read them" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

find_program(PENSTOCK_CCACHE ccache)
if(PENSTOCK_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${PENSTOCK_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PENSTOCK_CCACHE})
  if(PENSTOCK_PCH)  # without this it keeps nothing that was compiled with one
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${PENSTOCK_CCACHE})
  endif()
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(penstock_options INTERFACE)
target_include_directories(penstock_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(penstock_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Werror
  -fno-strict-aliasing)
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_options INTERFACE
    -fsanitize=${PENSTOCK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(PENSTOCK_SANITIZE MATCHES "address.*undefined")  # what these would find, the address sanitizer stops at, too
    target_compile_options(penstock_options INTERFACE -fno-sanitize=null,vptr,object-size)
  endif()
  target_link_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
endif()
if(PENSTOCK_FUZZ)
  target_compile_options(penstock_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
  target_link_options(penstock_options INTERFACE -fsanitize=address,undefined)
endif()

# What the sanitized run builds: label fast without label glue (code that mostly calls large libraries).
add_custom_target(sanitized_tests)

# penstock_library(NAME sources... LINKS targets... [PRIVATE_LINKS targets...])
# One library per folder. LINKS are the folders it may include; scripts/check_layers compares both.
function(penstock_library name)
  cmake_parse_arguments(ARG "" "" "LINKS;PRIVATE_LINKS" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PUBLIC penstock_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE penstock_options ${ARG_LINKS})
  endif()
endfunction()

# Libraries under dataplane/ build without exceptions.
function(penstock_no_exceptions name)
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
endfunction()

# The packet path is optimised across its files and folders, where that pays: in programs that say penstock_lto(). Its
# libraries carry both forms of code, so that every other program links them as usual, and as fast: but the linker's plugin
# takes what it finds for such code, so tests say that they do not want it (seconds for each).
set(PENSTOCK_LTO OFF)
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT PENSTOCK_SANITIZE
   AND NOT PENSTOCK_FUZZ)
  set(PENSTOCK_LTO ON)
endif()
function(penstock_packet_path)
  if(PENSTOCK_LTO)
    foreach(name ${ARGN})
      target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-flto=auto;-ffat-lto-objects>)
    endforeach()
  endif()
endfunction()
function(penstock_lto name)
  if(PENSTOCK_LTO)
    target_link_options(${name} PRIVATE -flto=auto -O2 -Wno-lto-type-mismatch)
  endif()
endfunction()

# How tests are linked: their speed does not matter, and they are many.
set(PENSTOCK_TEST_LINK "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND PENSTOCK_TEST_LINK -fno-lto)
  find_program(PENSTOCK_LLD ld.lld)
  if(PENSTOCK_LLD)
    list(APPEND PENSTOCK_TEST_LINK -fuse-ld=lld)
  endif()
endif()

# What nearly every test includes, compiled once for each level of optimisation (a compiler takes a precompiled header only
# under the same options): it is most of a test's compile time.
if(PENSTOCK_PCH)
  find_package(GTest REQUIRED)
  file(WRITE ${CMAKE_BINARY_DIR}/test_headers.cpp "")
  foreach(level 0 1)
    set(name penstock_test_headers_O${level})
    add_library(${name} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/test_headers.cpp)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_link_libraries(${name} PRIVATE GTest::gtest GTest::gmock penstock_options)
    target_compile_options(${name} PRIVATE -fPIE -pthread -fpch-preprocess -O${level})
    target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm> <array> <chrono> <cstring>
      <deque> <filesystem> <fstream> <functional> <map> <memory> <optional> <random> <set> <span> <sstream> <string>
      <thread> <unordered_map> <variant> <vector>)
  endforeach()
endif()

# penstock_test(NAME sources... LINKS targets... [LABELS fast|slow|root|e2e ...])
# A GoogleTest program, one ctest entry. Default label: fast. Label root: needs CAP_SYS_ADMIN. Label glue beside fast:
# left out of the sanitized run.
function(penstock_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LINKS;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gtest GTest::gmock GTest::gtest_main penstock_options)
  # Assertions take the compiler longer than they take to run; the simulator's worlds are worth optimising.
  set(level 0)
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "/tests/sim")
    set(level 1)
  endif()
  target_compile_options(${name} PRIVATE -Wno-sign-conversion -O${level})
  target_link_options(${name} PRIVATE ${PENSTOCK_TEST_LINK})
  if(PENSTOCK_PCH)
    target_compile_options(${name} PRIVATE -pthread -fpch-preprocess)
    target_precompile_headers(${name} REUSE_FROM penstock_test_headers_O${level})
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  if(NOT ARG_LABELS)
    set(ARG_LABELS fast)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("fast" IN_LIST ARG_LABELS AND NOT "glue" IN_LIST ARG_LABELS)
    add_dependencies(sanitized_tests ${name})
  endif()
endfunction()

# penstock_fuzz(NAME source LINKS targets...)
# The source defines LLVMFuzzerTestOneInput. Always builds NAME_replay, a test that runs every file of
# tests/corpus/NAME through it; with PENSTOCK_FUZZ also the libFuzzer program NAME.
function(penstock_fuzz name source)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  add_executable(${name}_replay ${source} ${CMAKE_SOURCE_DIR}/tests/support/replay_main.cpp)
  target_link_libraries(${name}_replay PRIVATE ${ARG_LINKS} penstock_options)
  target_link_options(${name}_replay PRIVATE ${PENSTOCK_TEST_LINK})
  add_test(NAME ${name}_replay COMMAND ${name}_replay ${CMAKE_SOURCE_DIR}/tests/corpus/${name})
  set_tests_properties(${name}_replay PROPERTIES LABELS fast TIMEOUT 120)
  add_dependencies(sanitized_tests ${name}_replay)
  if(PENSTOCK_FUZZ)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ${ARG_LINKS} penstock_options)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()

# penstock_bench(NAME sources... LINKS targets...)
# A Google Benchmark program; ctest runs it for an instant so that it cannot rot (label fast).
function(penstock_bench name)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  find_package(benchmark REQUIRED)
  if(NOT TARGET penstock_bench_context)
    add_library(penstock_bench_context OBJECT ${CMAKE_SOURCE_DIR}/bench/harness/tsc_context.cpp)
    target_link_libraries(penstock_bench_context PRIVATE benchmark::benchmark penstock_options)
  endif()
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS} $<TARGET_OBJECTS:penstock_bench_context>)
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} benchmark::benchmark benchmark::benchmark_main penstock_options)
  if(NOT PENSTOCK_SANITIZE AND NOT PENSTOCK_FUZZ)
    add_test(NAME ${name}_smoke COMMAND ${name} --benchmark_min_time=0.001 ${${name}_SMOKE_ARGS})
    set_tests_properties(${name}_smoke PROPERTIES LABELS fast TIMEOUT 120)
  endif()
endfunction()
