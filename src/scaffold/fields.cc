#include "scaffold/fields.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

namespace coditect::scaffold {
namespace {

// What a column, a member and an enumerator may not be called, in C++ or in SQL.
constexpr std::string_view kReserved[] = {"alignas",
                                          "alignof",
                                          "all",
                                          "analyse",
                                          "analyze",
                                          "and",
                                          "and_eq",
                                          "any",
                                          "array",
                                          "as",
                                          "asc",
                                          "asm",
                                          "assert",
                                          "asymmetric",
                                          "authorization",
                                          "auto",
                                          "binary",
                                          "bitand",
                                          "bitor",
                                          "bool",
                                          "both",
                                          "break",
                                          "case",
                                          "cast",
                                          "catch",
                                          "char",
                                          "char16_t",
                                          "char32_t",
                                          "char8_t",
                                          "check",
                                          "class",
                                          "co_await",
                                          "co_return",
                                          "co_yield",
                                          "collate",
                                          "collation",
                                          "column",
                                          "compl",
                                          "concept",
                                          "concurrently",
                                          "const",
                                          "const_cast",
                                          "consteval",
                                          "constexpr",
                                          "constinit",
                                          "constraint",
                                          "continue",
                                          "create",
                                          "cross",
                                          "current_catalog",
                                          "current_date",
                                          "current_role",
                                          "current_schema",
                                          "current_time",
                                          "current_timestamp",
                                          "current_user",
                                          "decltype",
                                          "default",
                                          "deferrable",
                                          "delete",
                                          "desc",
                                          "distinct",
                                          "do",
                                          "double",
                                          "dynamic_cast",
                                          "else",
                                          "end",
                                          "enum",
                                          "errno",
                                          "except",
                                          "explicit",
                                          "export",
                                          "extern",
                                          "false",
                                          "fetch",
                                          "float",
                                          "for",
                                          "foreign",
                                          "freeze",
                                          "friend",
                                          "from",
                                          "full",
                                          "goto",
                                          "grant",
                                          "group",
                                          "having",
                                          "if",
                                          "ilike",
                                          "in",
                                          "initially",
                                          "inline",
                                          "inner",
                                          "int",
                                          "intersect",
                                          "into",
                                          "is",
                                          "isnull",
                                          "join",
                                          "lateral",
                                          "leading",
                                          "left",
                                          "like",
                                          "limit",
                                          "localtime",
                                          "localtimestamp",
                                          "long",
                                          "mutable",
                                          "namespace",
                                          "natural",
                                          "new",
                                          "noexcept",
                                          "not",
                                          "not_eq",
                                          "notnull",
                                          "null",
                                          "nullptr",
                                          "offset",
                                          "on",
                                          "only",
                                          "operator",
                                          "or",
                                          "or_eq",
                                          "order",
                                          "outer",
                                          "overlaps",
                                          "placing",
                                          "primary",
                                          "private",
                                          "protected",
                                          "public",
                                          "references",
                                          "register",
                                          "reinterpret_cast",
                                          "requires",
                                          "return",
                                          "returning",
                                          "right",
                                          "select",
                                          "session_user",
                                          "short",
                                          "signed",
                                          "similar",
                                          "sizeof",
                                          "some",
                                          "static",
                                          "static_assert",
                                          "static_cast",
                                          "stderr",
                                          "stdin",
                                          "stdout",
                                          "struct",
                                          "switch",
                                          "symmetric",
                                          "system_user",
                                          "table",
                                          "tablesample",
                                          "template",
                                          "then",
                                          "this",
                                          "thread_local",
                                          "throw",
                                          "to",
                                          "trailing",
                                          "true",
                                          "try",
                                          "typedef",
                                          "typeid",
                                          "typename",
                                          "union",
                                          "unique",
                                          "unsigned",
                                          "user",
                                          "using",
                                          "values",
                                          "variadic",
                                          "verbose",
                                          "virtual",
                                          "void",
                                          "volatile",
                                          "wchar_t",
                                          "when",
                                          "where",
                                          "while",
                                          "window",
                                          "with",
                                          "xor",
                                          "xor_eq"};

// Columns that every row has.
constexpr std::string_view kOwn[] = {"id",         "tenant_id",  "version",
                                     "created_at", "updated_at", "deleted_at"};

// Folders of src/, whose namespaces a slice's would collide with.
constexpr std::string_view kFolders[] = {
    "app",    "apps",   "async", "attack",   "audit", "auth",    "base",    "config",
    "crypto", "domain", "http",  "jobs",     "json",  "mover",   "obs",     "pg",
    "redis",  "schema", "std",   "scaffold", "sql",   "tenancy", "testing", "cluster"};

// Types that the slice's files use by these names.
constexpr std::string_view kTypes[] = {
    "Async",    "Bytes",    "Code",       "Date",        "Deadline",   "Error", "Failure", "Field",
    "GlobalDb", "Id",       "Nothing",    "Page",        "Permission", "Reply", "Result",  "Secret",
    "Tenant",   "TenantDb", "TenantRead", "TenantWrite", "Timestamp",  "Uuid",  "Loop"};

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

std::unexpected<Error> wrong(std::string detail) {
  return error(Code::invalid_argument, "invalid_slice", std::move(detail));
}

/// Why it cannot be a name; nullopt when it can. The singular is only a part of names.
enum class Use { whole_name, part_of_names };
std::optional<std::string> fault_of(std::string_view what, std::string_view name,
                                    Use use = Use::whole_name) {
  const std::string quoted = std::string(what) + " '" + std::string(name) + "'";
  if (name.empty()) return std::string(what) + " is missing";
  if (name.size() > 40) return quoted + " is longer than 40 characters";
  if (name[0] < 'a' || name[0] > 'z' || name.back() == '_' || name.contains("__"))
    return quoted + ": start with a lower-case letter, and end with a letter or digit";
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
      return quoted + ": lower-case letters, digits and _ only";
  if (use == Use::whole_name && is_one_of(name, kReserved))
    return quoted + " is a reserved word of C++ or SQL";
  return std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == text.npos) return out;
    text.remove_prefix(end + 1);
  }
}

/// The words of the text; a bracket holds its spaces together.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    const bool space = c == ' ' || c == '\t' || c == '\n';
    if (space && depth > 0) continue;
    if (!space) word += c;
    if (space && !word.empty()) out.push_back(std::exchange(word, {}));
  }
  if (!word.empty()) out.push_back(word);
  return out;
}

Result<Field> parse_field(std::string_view word) {
  const auto colon = word.find(':');
  if (colon == word.npos)
    return wrong("field '" + std::string(word) + "' has no type: write name:type");
  Field f;
  f.name = word.substr(0, colon);
  if (const auto fault = fault_of("field", f.name)) return wrong(*fault);
  if (is_one_of(f.name, kOwn)) return wrong("field '" + f.name + "': every row has that already");
  auto type = word.substr(colon + 1);
  if (type.ends_with('?')) {
    f.optional = true;
    type.remove_suffix(1);
  }
  std::string_view inside;
  if (const auto open = type.find('('); open != type.npos) {
    if (!type.ends_with(')')) return wrong("field '" + f.name + "': the bracket is not closed");
    inside = type.substr(open + 1, type.size() - open - 2);
    type = type.substr(0, open);
    if (type != "text" && type != "enum")
      return wrong("field '" + f.name + "': " + std::string(type) + " takes no brackets");
    if (inside.empty()) return wrong("field '" + f.name + "': the brackets are empty");
  }
  const std::pair<std::string_view, FieldType> types[] = {
      {"text", FieldType::text},       {"int", FieldType::integer}, {"money", FieldType::money},
      {"bool", FieldType::boolean},    {"date", FieldType::date},   {"time", FieldType::time},
      {"enum", FieldType::enumeration}};
  const auto* known =
      std::ranges::find(types, type, &std::pair<std::string_view, FieldType>::first);
  if (known == std::end(types))
    return wrong("field '" + f.name + "': the type '" + std::string(type) +
                 "' is none of text, text(MAX), int, money, bool, date, time, enum(A,B)");
  f.type = known->second;
  if (f.type == FieldType::enumeration) {
    if (inside.empty()) return wrong("field '" + f.name + "': write its values, enum(open,paid)");
    if (f.name == "tag" || f.name == "row")  // its type would be the id's tag or the row
      return wrong("field '" + f.name + "': an enum needs another name");
    for (const auto value : split(inside, ',')) {
      if (const auto fault = fault_of("value", value))
        return wrong("field '" + f.name + "': " + *fault);
      if (std::ranges::find(f.values, value) != f.values.end())
        return wrong("field '" + f.name + "': the value '" + std::string(value) +
                     "' is there twice");
      f.values.emplace_back(value);
    }
  } else if (!inside.empty()) {
    const auto [end, bad] =
        std::from_chars(inside.data(), inside.data() + inside.size(), f.max_length);
    if (bad != std::errc() || end != inside.data() + inside.size() || f.max_length < 1 ||
        f.max_length > 10000)
      return wrong("field '" + f.name + "': text(MAX) takes a number from 1 to 10000");
  }
  return f;
}

std::string guess_singular(std::string_view plural) {
  const auto without = [&plural](std::size_t n) {
    return std::string(plural.substr(0, plural.size() - n));
  };
  if (plural.ends_with("ies") && plural.size() > 4) return without(3) + "y";
  for (const char* end : {"sses", "xes", "ches", "shes", "zes"})
    if (plural.ends_with(end)) return without(2);
  if (plural.ends_with("s") && !plural.ends_with("ss")) return without(1);
  return std::string(plural);
}

}  // namespace

Result<std::vector<Field>> parse_fields(std::string_view text) {
  std::vector<Field> out;
  for (const auto& word : words_of(text)) {
    auto field = parse_field(word);
    if (!field) return std::unexpected(field.error());
    if (std::ranges::find(out, field->name, &Field::name) != out.end())
      return wrong("field '" + field->name + "' is there twice");
    out.push_back(std::move(*field));
  }
  if (out.empty()) return wrong("a slice needs a field, such as name:text");
  if (out.size() > 40) return wrong("40 fields are the most");
  return out;
}

Result<SliceName> parse_name(std::string_view plural, std::string_view singular) {
  if (const auto fault = fault_of("slice", plural)) return wrong(*fault);
  if (is_one_of(plural, kFolders))
    return wrong("slice '" + std::string(plural) + "': the platform has a part of that name");
  SliceName out{
      std::string(plural), singular.empty() ? guess_singular(plural) : std::string(singular), {}};
  if (const auto fault = fault_of("singular", out.singular, Use::part_of_names))
    return wrong(*fault);
  out.type = camel_case(out.singular);
  if (is_one_of(out.type, kTypes))
    return wrong("singular '" + out.singular + "': the platform has a type " + out.type +
                 "; choose another name, or another --singular");
  return out;
}

std::string camel_case(std::string_view snake) {
  std::string out;
  bool up = true;
  for (const char c : snake) {
    if (c == '_') {
      up = true;
      continue;
    }
    out += up && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    up = false;
  }
  return out;
}

}  // namespace coditect::scaffold
