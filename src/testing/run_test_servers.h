#pragma once
#include "apps/coditect/application.h"

namespace coditect::testing {

/// The main function of a program that gives database tests a private PostgreSQL and Redis, with
/// template databases that have the application's migrations:
///   test_servers -- COMMAND ARG...   runs the command with COTEST_SERVERS set; its exit code
///   test_servers FILE                writes FILE for COTEST_SERVERS, says "ready", and stops when
///                                    its standard input ends
int run_test_servers(int argc, char** argv, const app::Application& application);

}  // namespace coditect::testing
