#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "attack/openapi.h"

namespace coditect::attack {

/// A tenant as its owner sees it.
struct World {
  std::string slug;
  std::string key;     ///< an API key that may do everything
  std::string canary;  ///< stands in every text that this tenant writes
  std::map<std::string, std::vector<std::string>> ids;  ///< by the path of the list, oldest first
  std::map<std::string, std::string> cursors;           ///< a page token, by the path of the list
  std::map<std::string, std::string> snapshot;          ///< bodies of what it reads, by operation
  int written = 0;

  /// An id of what the path parameter of this operation names; nullopt when there is none.
  std::optional<std::string> id_for(const Operation& op, std::string_view parameter) const;
  /// An id of this noun ("project", "assignee"), found by its TypeID prefix or the list's name.
  std::optional<std::string> id_of(const std::string& noun) const;
  /// A value that its things have for a filter of this name: of a member of that name or its
  /// plural; else the first word of one of its texts. nullopt when it has none.
  std::optional<std::string> value_for(const std::string& filter) const;
  /// What nobody else may ever be shown.
  std::set<std::string> secrets() const;
  /// Example bodies in this tenant's words, with its own references.
  Examples examples();
};

/// Takes the ids out of a list's or a thing's body: "items" or any array of objects with an id, or
/// the object's own.
std::vector<std::string> ids_in(const std::string& body);

/// An id of the same shape that nobody has: a TypeID, a UUID, a number, or a word.
std::string absent_like(const std::string& id);

}  // namespace coditect::attack
