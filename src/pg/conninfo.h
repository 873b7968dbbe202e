#pragma once
#include <map>
#include <string>

/// libpq's connection strings:
/// https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING
namespace coditect::pg {

/// The connection string with these options in the place of its own; an empty value takes the
/// option out. Throws `invalid_database_url`.
std::string with_options(const std::string& conninfo,
                         const std::map<std::string, std::string>& options);

/// An option's value as the string gives it; empty when it does not.
std::string option_of(const std::string& conninfo, const std::string& name);

}  // namespace coditect::pg
