#pragma once
#include <string>
#include <vector>

#include "scaffold/slice.h"

namespace coditect::scaffold {

/// A tree that takes slices: the platform's own, or an application built on the package.
class Project {
 public:
  /// The project around this directory. Throws `no_project`.
  static Project find(const std::string& directory);

  /// All files that a new slice writes and changes, with their new texts. Throws `slice_exists`,
  /// `invalid_slice`, or `project_changed` when a line to add at is missing.
  std::vector<File> plan(const SliceName& name, const std::vector<Field>& fields) const;

  /// Writes them. Nothing is changed when one of them cannot be written.
  void apply(const std::vector<File>& files) const;

  const std::string& top() const { return top_; }
  bool is_application() const { return in_.application; }

 private:
  Project() = default;
  std::string read(const std::string& path) const;
  bool exists(const std::string& path) const;
  File with_line(const std::string& path, const std::string& anchor, const std::string& line) const;

  std::string top_;
  Surroundings in_;
};

}  // namespace coditect::scaffold
