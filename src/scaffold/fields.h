#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// The words after `coditect new slice`: what a slice is called and which fields its rows have.
namespace coditect::scaffold {

enum class FieldType { text, integer, money, boolean, date, time, enumeration };

struct Field {
  std::string name;
  FieldType type = FieldType::text;
  bool optional = false;
  int max_length = 200;             ///< of text, in characters
  std::vector<std::string> values;  ///< of an enumeration

  auto operator<=>(const Field&) const = default;
};

/// "number:text amount:money due_on:date? status:enum(open,paid)". Types: text, text(MAX), int,
/// money (whole minor units: cents), bool, date, time, enum(A,B,...); a ? makes one optional.
Result<std::vector<Field>> parse_fields(std::string_view text);

struct SliceName {
  std::string plural;    ///< "invoices": folder, table, path
  std::string singular;  ///< "invoice": prefix of ids, target of the trail
  std::string type;      ///< "Invoice"
};

/// `singular` may be empty: then it is guessed from the plural.
Result<SliceName> parse_name(std::string_view plural, std::string_view singular);

/// "due_on" -> "DueOn".
std::string camel_case(std::string_view snake);

}  // namespace coditect::scaffold
