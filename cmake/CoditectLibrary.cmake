# coditect_library(NAME FILES file... [DEPS library...] [TEST_DEPS library...])
#
# Makes the library coditect_NAME from the files, and a test program for each kind of test among
# them, told apart by suffix:
#   x_test.cc    no input or output         -> NAME_test,   ctest label "unit"
#   x_dbtest.cc  real PostgreSQL and Redis  -> NAME_dbtest, ctest label "db"
#   x_fuzz.cc    one libFuzzer target       -> NAME_x_fuzz; the asan preset builds it
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(fmt REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG)
find_package(PkgConfig REQUIRED)
find_library(ARGON2_LIBRARY argon2 REQUIRED)
if(CODITECT_TESTS)
  find_package(GTest REQUIRED)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    ${CCACHE_PROGRAM})
endif()

# What everyone who includes our headers needs, installed with them.
add_library(coditect_options INTERFACE)
target_include_directories(coditect_options INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src> $<INSTALL_INTERFACE:include/coditect>)
target_include_directories(coditect_options SYSTEM INTERFACE ${PostgreSQL_INCLUDE_DIRS})
target_compile_features(coditect_options INTERFACE cxx_std_23)
target_compile_options(coditect_options INTERFACE -fconstexpr-steps=20000000)
# What only our own build wants.
add_library(coditect_flags INTERFACE)
target_compile_options(coditect_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
  -fno-omit-frame-pointer "SHELL:-Xclang -fno-pch-timestamp" $<$<CONFIG:Release>:-O2>)
# Asio and Beast are compiled once, in src/async/boost_impl.cc, not in every file.
target_compile_definitions(coditect_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_DISABLE_BOOST_ARRAY CODITECT_VERSION="${PROJECT_VERSION}")
if(CODITECT_MUTANTS)
  target_compile_definitions(coditect_options INTERFACE CODITECT_MUTANTS)
endif()
target_link_options(coditect_flags INTERFACE -fuse-ld=lld)
if(CODITECT_SANITIZE)
  target_compile_options(coditect_flags INTERFACE -fsanitize=${CODITECT_SANITIZE} -O1 -gline-tables-only)
  target_link_options(coditect_flags INTERFACE -fsanitize=${CODITECT_SANITIZE})
  if(CODITECT_SANITIZE MATCHES address)  # coverage, for the fuzzers
    target_compile_options(coditect_flags INTERFACE -fsanitize=fuzzer-no-link)
  endif()
  if(CODITECT_SANITIZE MATCHES undefined)
    target_compile_options(coditect_flags INTERFACE -fno-sanitize-recover=all)
  endif()
endif()
target_link_libraries(coditect_options INTERFACE
  Boost::headers Boost::json OpenSSL::SSL OpenSSL::Crypto fmt::fmt Threads::Threads)

# The heavy headers, parsed once. Off under clang-tidy, which would report on them.
if(NOT CODITECT_TIDY)
  file(WRITE ${CMAKE_BINARY_DIR}/pch.cc "")
  add_library(coditect_pch OBJECT ${CMAKE_BINARY_DIR}/pch.cc)
  target_link_libraries(coditect_pch PUBLIC coditect_options PRIVATE coditect_flags)
  target_precompile_headers(coditect_pch PRIVATE ${CMAKE_SOURCE_DIR}/src/async/pch.h)
endif()

# The bodies of Asio and Beast, compiled once.
add_library(coditect_boost STATIC ${CMAKE_SOURCE_DIR}/src/async/boost_impl.cc)
target_link_libraries(coditect_boost PUBLIC coditect_options)
target_link_libraries(coditect_boost PRIVATE $<BUILD_INTERFACE:coditect_flags>)

function(coditect_target_defaults target)
  target_link_libraries(${target} PUBLIC coditect_options coditect_boost)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:coditect_flags>)
  if(CODITECT_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY "clang-tidy-19;--quiet")
  else()
    target_precompile_headers(${target} REUSE_FROM coditect_pch)
  endif()
endfunction()

function(coditect_library name)
  cmake_parse_arguments(arg "" "" "FILES;DEPS;TEST_DEPS" ${ARGN})
  set(sources ${arg_FILES})
  set(unit ${arg_FILES})
  set(db ${arg_FILES})
  set(fuzz ${arg_FILES})
  list(FILTER sources EXCLUDE REGEX "_(test|dbtest|fuzz)\\.cc$")
  list(FILTER unit INCLUDE REGEX "_test\\.cc$")
  list(FILTER db INCLUDE REGEX "_dbtest\\.cc$")
  list(FILTER fuzz INCLUDE REGEX "_fuzz\\.cc$")
  list(TRANSFORM arg_DEPS REPLACE "^([a-z_]+)$" "coditect_\\1")
  list(TRANSFORM arg_TEST_DEPS REPLACE "^([a-z_]+)$" "coditect_\\1")
  string(REPLACE "/" "_" target ${name})

  add_library(coditect_${target} STATIC ${sources})
  target_link_libraries(coditect_${target} PUBLIC ${arg_DEPS})
  coditect_target_defaults(coditect_${target})
  set_property(GLOBAL APPEND PROPERTY CODITECT_LIBRARIES coditect_${target})

  if(NOT CODITECT_TESTS)
    return()
  endif()
  if(CODITECT_SANITIZE MATCHES address)
    foreach(file IN LISTS fuzz)
      get_filename_component(short ${file} NAME_WE)
      add_executable(${target}_${short} ${file})
      target_link_libraries(${target}_${short} PRIVATE coditect_${target} ${arg_TEST_DEPS})
      target_link_options(${target}_${short} PRIVATE -fsanitize=fuzzer)
      coditect_target_defaults(${target}_${short})
    endforeach()
  endif()
  foreach(kind unit db)
    if(NOT ${kind})
      continue()
    endif()
    set(suffix test)
    if(kind STREQUAL "db")
      set(suffix dbtest)
    endif()
    add_executable(${target}_${suffix} ${${kind}})
    target_link_libraries(${target}_${suffix} PRIVATE coditect_${target} ${arg_TEST_DEPS}
      GTest::gtest GTest::gtest_main)
    coditect_target_defaults(${target}_${suffix})
    add_test(NAME ${target}_${suffix} COMMAND ${target}_${suffix})
    set_tests_properties(${target}_${suffix} PROPERTIES LABELS ${kind} TIMEOUT 300)
    if(kind STREQUAL "db")
      set_tests_properties(${target}_${suffix} PROPERTIES FIXTURES_REQUIRED servers
        ENVIRONMENT "COTEST_SERVERS=${CMAKE_BINARY_DIR}/test_servers")
    endif()
  endforeach()
endfunction()
