#pragma once
#include <cstdint>
#include <string_view>

#include "base/check.h"

/// Defines a libFuzzer target (https://llvm.org/docs/LibFuzzer.html); the block sees the bytes as
/// `input`. What must hold is a CHECK.
#define FUZZ_TARGET                                                                   \
  static void fuzz_one(std::string_view input);                                       \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    fuzz_one({reinterpret_cast<const char*>(data), size});                            \
    return 0;                                                                         \
  }                                                                                   \
  static void fuzz_one(std::string_view input)
