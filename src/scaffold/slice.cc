#include "scaffold/slice.h"

#include <fmt/format.h>

#include <functional>
#include <map>

#include "base/embedded_file.h"
#include "schema/tables.h"
#include "tenancy/sql_check.h"

namespace coditect::scaffold {

std::span<const EmbeddedFile> templates();

namespace {

/// A file of templates/, compiled into the program.
std::string_view template_of(std::string_view file) {
  for (const auto& f : templates())
    if (f.path.ends_with("/" + std::string(file) + ".in")) return f.text;
  fail(Code::internal, "no_template", std::string(file));
}

using Values = std::map<std::string, std::string>;

/// The text with each {{name}} replaced.
std::string fill(std::string_view text, const Values& values) {
  std::string out;
  for (;;) {
    const auto open = text.find("{{");
    out += text.substr(0, open);
    if (open == text.npos) return out;
    const auto close = text.find("}}", open);
    out += values.at(std::string(text.substr(open + 2, close - open - 2)));
    text.remove_prefix(close + 2);
  }
}

std::string join(const std::vector<Field>& fields, std::string_view between,
                 const std::function<std::string(const Field&)>& text) {
  std::string out;
  for (const auto& f : fields) out += (out.empty() ? "" : std::string(between)) + text(f);
  return out;
}

struct Slice {
  const SliceName& name;
  const std::vector<Field>& fields;
  const Surroundings& in;

  std::string enum_type(const Field& f) const { return name.type + camel_case(f.name); }

  /// In the row and in answers.
  std::string plain_type(const Field& f) const {
    switch (f.type) {
      case FieldType::text: return "std::string";
      case FieldType::integer:
      case FieldType::money: return "std::int64_t";
      case FieldType::boolean: return "bool";
      case FieldType::date: return "Date";
      case FieldType::time: return "Timestamp";
      case FieldType::enumeration: return enum_type(f);
    }
    return {};
  }
  std::string row_type(const Field& f) const {
    return f.optional ? "std::optional<" + plain_type(f) + ">" : plain_type(f);
  }
  /// In requests: the type is the rule.
  std::string request_type(const Field& f) const {
    switch (f.type) {
      case FieldType::text: return fmt::format("http::Text<1, {}>", f.max_length);
      case FieldType::integer:
      case FieldType::money: return "http::Int<-9007199254740991, 9007199254740991>";
      default: return plain_type(f);
    }
  }
  /// Whether a request's value is inside a rule's type.
  static bool is_wrapped(const Field& f) {
    return f.type == FieldType::text || f.type == FieldType::integer || f.type == FieldType::money;
  }
  /// The row's value out of the request's.
  static std::string unwrapped(const Field& f, const std::string& from) {
    if (!is_wrapped(f)) return from;
    if (!f.optional) return from + ".value";
    return fmt::format("{0} ? std::optional({0}->value) : std::nullopt", from);
  }
  static std::string column_type(const Field& f) {
    switch (f.type) {
      case FieldType::integer:
      case FieldType::money: return "bigint";
      case FieldType::boolean: return "boolean";
      case FieldType::date: return "date";
      case FieldType::time: return "timestamptz";
      default: return "text";
    }
  }
  static std::string check(const Field& f) {
    if (f.type != FieldType::enumeration) return {};
    std::string values;
    for (const auto& v : f.values) values += (values.empty() ? "'" : ", '") + v + "'";
    return fmt::format(" CHECK ({} IN ({}))", f.name, values);
  }
  /// A value as SQL text, for the tests.
  static std::string sample(const Field& f) {
    switch (f.type) {
      case FieldType::text: return f.max_length < 6 ? "'s'" : "'secret'";
      case FieldType::integer:
      case FieldType::money: return "100";
      case FieldType::boolean: return "true";
      case FieldType::date: return "'2026-01-02'";
      case FieldType::time: return "now()";
      case FieldType::enumeration: return "'" + f.values.front() + "'";
    }
    return {};
  }
  /// The same as JSON, quoted for a C++ string.
  static std::string sample_json(const Field& f) {
    switch (f.type) {
      case FieldType::text: return f.max_length < 6 ? R"("s")" : R"("secret")";
      case FieldType::integer:
      case FieldType::money: return "100";
      case FieldType::boolean: return "true";
      case FieldType::date: return R"("2026-01-02")";
      case FieldType::time: return R"("2026-01-02T03:04:05Z")";
      case FieldType::enumeration: return "\"" + f.values.front() + "\"";
    }
    return {};
  }

  // The statements' texts, for the file and for the check.
  std::string columns(std::string_view alias) const {
    return fmt::format(
        "SELECT {0}.id, {1}, {0}.created_at, {0}.updated_at, {0}.deleted_at, {0}.version FROM {2} "
        "{0} ",
        alias,
        join(fields, ", ", [&](const Field& f) { return fmt::format("{}.{}", alias, f.name); }),
        name.plural);
  }
  std::string get() const {
    return columns("r") + "WHERE r.tenant_id = $1 AND r.id = $2 AND r.deleted_at IS NULL";
  }
  std::string lock() const {
    return columns("r") + "WHERE r.tenant_id = $1 AND r.id = $2 FOR UPDATE";
  }
  std::string list() const {
    return columns("r") +
           "WHERE r.tenant_id = $1 AND r.deleted_at IS NULL AND r.id > $2 ORDER BY r.id LIMIT $3";
  }
  std::string insert() const {
    int n = 3;
    const auto values = join(fields, ", ", [&n](const Field&) { return fmt::format("${}", n++); });
    return fmt::format(
        "INSERT INTO {} (tenant_id, id, {}, created_at, updated_at) VALUES ($1, $2, {}, ${}, ${})",
        name.plural, join(fields, ", ", [](const Field& f) { return f.name; }), values, n, n);
  }
  std::string update() const {
    int n = 3;
    const auto values =
        join(fields, ", ", [&n](const Field& f) { return fmt::format("{} = ${}", f.name, n++); });
    return fmt::format(
        "UPDATE {} AS r SET {}, updated_at = ${}, deleted_at = ${}, version = version + 1 WHERE "
        "r.tenant_id = $1 AND r.id = $2",
        name.plural, values, n, n + 1);
  }
};

/// A statement is refused here rather than by the compiler, later and in more words.
void check_statements(const Slice& s) {
  std::vector<schema::Table> tables(schema::CoreTables::tables.begin(),
                                    schema::CoreTables::tables.end());
  tables.push_back({s.name.plural, schema::Kind::tenant});
  const auto n = static_cast<int>(s.fields.size());
  const std::pair<std::string, int> statements[] = {
      {s.get(), 2}, {s.lock(), 2}, {s.list(), 3}, {s.insert(), n + 3}, {s.update(), n + 4}};
  for (const auto& [sql, parameters] : statements)
    if (tenancy::check_sql(sql, tables, tenancy::Door::tenant, parameters) !=
        tenancy::SqlVerdict::ok)
      fail(Code::invalid_argument, "invalid_slice",
           "one of the names is a word that statements may not have; choose another: " + sql);
}

Values values_of(const Slice& s) {
  const auto& fields = s.fields;
  const auto lines = [&](const std::function<std::string(const Field&)>& text) {
    std::string out;
    for (const auto& f : fields) out += text(f);
    return out;
  };
  const auto of = [&](const std::string& row) {
    return join(fields, ", ", [&](const Field& f) { return row + "." + f.name; });
  };
  Values v{{"namespace", s.in.name_space},
           {"plural", s.name.plural},
           {"singular", s.name.singular},
           {"path_parameter", "{" + s.name.singular + "}"},
           {"type", s.name.type},
           {"types", camel_case(s.name.plural)},
           {"include", s.in.include_prefix + s.name.plural + "/"},
           {"using", s.in.application ? "\nusing namespace coditect;\n" : ""},
           {"auth", s.in.application ? "coditect::auth::" : "auth::"},
           {"statement_include",
            s.in.application ? "#include \"tables.h\"\n" : "#include \"tenancy/statement.h\"\n"},
           {"statement_using", s.in.application ? "" : "using tenancy::TenantStatement;\n\n"},
           {"names", join(fields, ", ", [](const Field& f) { return f.name; })},
           {"row_types", join(fields, ", ", [&](const Field& f) { return s.row_type(f); })},
           {"samples", join(fields, ", ", [](const Field& f) { return Slice::sample(f); })},
           {"made_values", of("made")},
           {"after_values", of("after")},
           {"row_values", of("row")},
           {"get", s.get()},
           {"lock", s.lock()},
           {"list", s.list()},
           {"insert", s.insert()},
           {"update", s.update()},
           {"first", fields.front().name},
           {"page_parameters",
            R"({{"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}})"}};
  v["enums"] = lines([&](const Field& f) -> std::string {
    if (f.type != FieldType::enumeration) return {};
    std::string names;
    for (const auto& value : f.values) names += (names.empty() ? "" : ", ") + value;
    return fmt::format("\nenum class {0} {{ {1} }};\nBOOST_DESCRIBE_ENUM({0}, {1})\n",
                       s.enum_type(f), names);
  });
  v["row_members"] = lines([&](const Field& f) {
    const bool number = f.type == FieldType::integer || f.type == FieldType::money;
    const char* start = f.optional                                                      ? ""
                        : number                                                        ? " = 0"
                        : f.type == FieldType::boolean                                  ? " = false"
                        : f.type == FieldType::enumeration || f.type == FieldType::date ? "{}"
                                                                                        : "";
    const char* note = f.type == FieldType::money ? "  ///< whole minor units: cents" : "";
    return fmt::format("  {} {}{};{}\n", s.row_type(f), f.name, start, note);
  });
  v["create_members"] = lines([&](const Field& f) {
    const auto type = s.request_type(f);
    return fmt::format("  {} {};\n", f.optional ? "std::optional<" + type + ">" : type, f.name);
  });
  v["patch_members"] = lines([&](const Field& f) {
    const auto type = s.request_type(f);
    return fmt::format("  http::Field<{}> {};\n", f.optional ? "std::optional<" + type + ">" : type,
                       f.name);
  });
  v["create_assignments"] = lines([](const Field& f) {
    return fmt::format("  made.{} = {};\n", f.name, Slice::unwrapped(f, "body." + f.name));
  });
  v["patch_assignments"] = lines([](const Field& f) {
    const auto given = "(*body." + f.name + ")";
    return fmt::format("  if (body.{0}.present()) after.{0} = {1};\n", f.name,
                       Slice::is_wrapped(f) ? Slice::unwrapped(f, given) : "*body." + f.name);
  });
  v["columns"] = lines([](const Field& f) {
    return fmt::format("  {} {}{}{},\n", f.name, Slice::column_type(f),
                       f.optional ? "" : " NOT NULL", Slice::check(f));
  });
  v["json"] = "{" +
              join(fields, ", ",
                   [](const Field& f) { return "\"" + f.name + "\": " + Slice::sample_json(f); }) +
              "}";
  const bool any_required = std::ranges::any_of(fields, [](const Field& f) { return !f.optional; });
  v["missing_check"] =
      any_required ? fmt::format("  EXPECT_THROW(http::read_json<Create{}>(\"{{}}\"), Failure);\n",
                                 s.name.type)
                   : "";
  return v;
}

}  // namespace

std::vector<File> render_slice(const SliceName& name, const std::vector<Field>& fields,
                               const Surroundings& in) {
  const Slice slice{name, fields, in};
  check_statements(slice);
  const auto values = values_of(slice);
  const auto folder = in.source_prefix + name.plural + "/";
  return {{folder + "model.h", fill(template_of("model.h"), values)},
          {folder + "queries.h", fill(template_of("queries.h"), values)},
          {folder + "handlers.h", fill(template_of("handlers.h"), values)},
          {folder + "handlers.cc", fill(template_of("handlers.cc"), values)},
          {folder + name.plural + "_dbtest.cc", fill(template_of("dbtest.cc"), values)},
          {fmt::format("{}{:04}_{}.sql", in.migrations, in.next_migration, name.plural),
           fill(template_of("migration.sql"), values)}};
}

}  // namespace coditect::scaffold
