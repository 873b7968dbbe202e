#pragma once
#include <string_view>
#include <utility>

namespace coditect {

/// Faults that the test of `coditect attack` switches on one at a time, to see whether they are
/// found (tests/mutation). Only the mutants preset has them; elsewhere each is the constant false.
#ifdef CODITECT_MUTANTS
bool mutant(std::string_view name);
/// A statement's name and text as the mutants that are on make them.
std::pair<std::string_view, const char*> mutated(std::string_view name, const char* sql);
#else
constexpr bool mutant(std::string_view) { return false; }
constexpr std::pair<std::string_view, const char*> mutated(std::string_view name, const char* sql) {
  return {name, sql};
}
#endif

}  // namespace coditect
