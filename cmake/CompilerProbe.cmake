# Refuses a compiler that miscompiles coroutines. g++ 12.2 destroys twice (a) a lambda with by-value
# captures and (b) a braced aggregate that are temporaries of a co_await expression. Both programs
# run under AddressSanitizer, which names the double free.
set(probe_dir ${CMAKE_BINARY_DIR}/compiler_probe)
file(READ ${CMAKE_CURRENT_LIST_DIR}/compiler_probe.cc probe_source)
string(SHA256 probe_key "${probe_source}${CMAKE_CXX_COMPILER}${CMAKE_CXX_COMPILER_VERSION}")
if(NOT CODITECT_PROBE_PASSED STREQUAL probe_key)
  message(STATUS "Probing the compiler's coroutines")
  foreach(bug captured_lambda braced_aggregate)
    try_run(probe_exit probe_compiled ${probe_dir}/${bug} ${CMAKE_CURRENT_LIST_DIR}/compiler_probe.cc
      COMPILE_DEFINITIONS -DPROBE_${bug} -fsanitize=address -std=c++23
      LINK_OPTIONS -fsanitize=address
      COMPILE_OUTPUT_VARIABLE probe_log
      RUN_OUTPUT_VARIABLE probe_output)
    if(NOT probe_compiled)
      message(FATAL_ERROR "This compiler cannot build the coroutine probe (${bug}):\n${probe_log}")
    endif()
    if(NOT probe_exit STREQUAL "0")
      message(FATAL_ERROR "This compiler miscompiles coroutines: the '${bug}' program in "
        "cmake/compiler_probe.cc fails. Known bad: g++ 12.2. Use clang 19.\n${probe_output}")
    endif()
  endforeach()
  set(CODITECT_PROBE_PASSED ${probe_key} CACHE INTERNAL "Compiler that passed the coroutine probe")
endif()
