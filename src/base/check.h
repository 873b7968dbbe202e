#pragma once
#include <cstdio>
#include <cstdlib>

/// Programmer errors only: input can never reach a failing CHECK. Logs and aborts.
#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)
