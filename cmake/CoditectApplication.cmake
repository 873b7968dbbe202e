# For applications that are built on the installed package; find_package(coditect) includes this.

# coditect_program(NAME file... LIBRARY library) makes the application's program, with all of
# coditect's subcommands: its main() calls coditect::app::run_program().
function(coditect_program name)
  cmake_parse_arguments(arg "" "LIBRARY" "" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARY} coditect::coditect)
  target_link_options(${name} PRIVATE -fuse-ld=lld)
  coditect_link_allocator(${name})
endfunction()

# coditect_test(NAME file... LIBRARY library SERVERS file) makes a test of GoogleTest. With SERVERS
# it runs against a private PostgreSQL and Redis that have the application's migrations; the file's
# main() calls coditect::testing::run_test_servers().
function(coditect_test name)
  cmake_parse_arguments(arg "" "LIBRARY;SERVERS" "" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARY} coditect::testing GTest::gtest GTest::gtest_main)
  target_link_options(${name} PRIVATE -fuse-ld=lld)
  if(NOT arg_SERVERS)
    add_test(NAME ${name} COMMAND ${name})
    return()
  endif()
  add_executable(${name}_servers ${arg_SERVERS})
  target_link_libraries(${name}_servers PRIVATE ${arg_LIBRARY} coditect::testing)
  target_link_options(${name}_servers PRIVATE -fuse-ld=lld)
  add_test(NAME ${name} COMMAND ${name}_servers -- $<TARGET_FILE:${name}>)
endfunction()
