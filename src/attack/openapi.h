#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "base/error.h"

namespace coditect::attack {

struct Parameter {
  std::string name;
  std::string in;  ///< path, query, header
  boost::json::object schema;
};

struct Operation {
  std::string id, method, path;
  std::vector<Parameter> parameters;
  std::optional<boost::json::object> body;
  std::string body_type;
  std::vector<std::string> security;  ///< names of schemes; empty: open

  bool has_path_parameter(std::string_view name) const {
    return path.contains("{" + std::string(name) + "}");
  }
  /// Names in the path, in order.
  std::vector<std::string> path_parameters() const;
  /// The path up to before "/{name}": where things of that name are listed and made.
  std::string collection_of(std::string_view name) const;
  bool takes(std::string_view in, std::string_view name) const;
};

/// The operations of an OpenAPI 3 document, with local references ($ref) followed. Throws when it
/// is none.
std::vector<Operation> operations_of(const std::string& document);

/// What a value of this schema refers to: the prefix of a TypeID, or the noun of "noun_id"; empty
/// when it is no reference.
std::string reference_of(const std::string& name, const boost::json::object& schema);

/// Makes a value that fits the schema. `text` gives free text for a name; `refer` an id for a
/// reference, or nullopt when there is none, which leaves an optional member out and makes the
/// whole nullopt otherwise.
struct Examples {
  std::function<std::string(const std::string& name)> text;
  std::function<std::optional<std::string>(const std::string& noun)> refer;

  std::optional<boost::json::value> make(const std::string& name,
                                         const boost::json::object& schema) const;
};

}  // namespace coditect::attack
