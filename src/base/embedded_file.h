#pragma once
#include <span>
#include <string_view>

namespace coditect {

/// A file of the repository that is compiled into the program.
struct EmbeddedFile {
  std::string_view path;  ///< relative to the repository
  std::string_view text;
};

}  // namespace coditect
