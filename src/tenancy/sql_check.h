// A long file: what runs while compiling must be in a header, and the rules of one grammar are read
// together.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "schema/tables.h"

/// The compile-time check of SQL statements: a tokenizer and a reader of the part of SQL's grammar
/// in which tables can be named. It refuses what it does not understand. It guards against
/// mistakes; row-level security is the proof at run time.
namespace coditect::tenancy {

enum class SqlVerdict {
  ok,
  unterminated_text_or_comment,
  character_that_is_not_understood,
  quoted_identifiers_are_not_understood,
  dollar_quotes_are_not_understood,
  one_statement_only,
  statement_must_be_select_insert_update_delete_or_with,
  table_is_not_registered,
  schema_qualified_tables_are_not_allowed,
  tenant_table_named_in_a_statement_that_has_no_tenant,
  global_table_named_in_a_tenant_statement,
  tenant_statement_names_no_tenant_table,
  tenant_table_without_its_own_tenant_id_filter,
  alias_is_used_twice,
  or_beside_the_tenant_id_filter,
  join_is_not_understood,
  tenant_id_is_never_updated,
  insert_must_list_tenant_id_first,
  insert_must_give_the_tenant_first_in_each_row,
  function_is_not_allowed,
  keyword_is_not_allowed,
  common_table_expression_hides_a_table,
  syntax_is_not_understood,
  number_of_parameters_differs_from_the_arguments,
};

/// Which tables a statement may name.
enum class Door {
  tenant,    ///< tenant tables, each with its own tenant_id = $1, and reference tables
  global,    ///< the directory's tables
  operators  ///< tables of a cell across tenants: audited work of operators only
};

namespace sql {

struct Token {
  enum class Kind { word, number, text, parameter, symbol, end };
  Kind kind = Kind::end;
  std::string_view text;
  int parameter = 0;
};

constexpr bool is_letter(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
constexpr bool is_operator(char c) { return std::string_view("+-*/<>=~!@#%^&|?:").contains(c); }

constexpr bool same_word(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if ((a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + 32) : a[i]) != lower[i])
      return false;
  return true;
}

/// Words of `list` are separated by single spaces.
constexpr bool in_list(std::string_view word, std::string_view list) {
  while (!list.empty()) {
    const auto item = list.substr(0, list.find(' '));
    if (same_word(word, item)) return true;
    list.remove_prefix(item.size() < list.size() ? item.size() + 1 : item.size());
  }
  return false;
}

/// Cuts the text into tokens; comments vanish, texts stay as one token each.
constexpr SqlVerdict tokenize(std::string_view sql, std::vector<Token>& out) {
  std::size_t i = 0;
  while (i < sql.size()) {
    const char c = sql[i];
    const auto rest = sql.substr(i);
    if (is_space(c)) {
      ++i;
    } else if (rest.starts_with("--")) {
      while (i < sql.size() && sql[i] != '\n' && sql[i] != '\r')
        ++i;                              // the server ends it at either
    } else if (rest.starts_with("/*")) {  // comments nest
      int depth = 0;
      do {
        if (sql.substr(i).starts_with("/*"))
          ++depth, i += 2;
        else if (sql.substr(i).starts_with("*/"))
          --depth, i += 2;
        else
          ++i;
        if (i >= sql.size() && depth > 0) return SqlVerdict::unterminated_text_or_comment;
      } while (depth > 0);
    } else if (c == '\'') {
      const std::size_t start = i++;
      for (;;) {
        if (i >= sql.size()) return SqlVerdict::unterminated_text_or_comment;
        if (sql[i] == '\'' && sql.substr(i + 1).starts_with('\''))
          i += 2;
        else if (sql[i] == '\'')
          break;
        else
          ++i;
      }
      out.push_back({Token::Kind::text, sql.substr(start, ++i - start), 0});
    } else if (c == '"') {
      return SqlVerdict::quoted_identifiers_are_not_understood;
    } else if (c == ';') {
      return SqlVerdict::one_statement_only;
    } else if (c == '$') {
      std::size_t end = i + 1;
      int number = 0;
      while (end < sql.size() && is_digit(sql[end]) && number < 100000)
        number = number * 10 + (sql[end++] - '0');
      if (end == i + 1 || (end < sql.size() && (is_letter(sql[end]) || sql[end] == '$')))
        return SqlVerdict::dollar_quotes_are_not_understood;
      out.push_back({Token::Kind::parameter, sql.substr(i, end - i), number});
      i = end;
    } else if (is_letter(c)) {
      std::size_t end = i;
      while (end < sql.size() && (is_letter(sql[end]) || is_digit(sql[end]))) ++end;
      // E'..', B'..' and U&'..' have other rules; a$b is one identifier to the server.
      if (end < sql.size() &&
          (sql[end] == '\'' || sql[end] == '$' || static_cast<unsigned char>(sql[end]) >= 0x80))
        return SqlVerdict::character_that_is_not_understood;
      out.push_back({Token::Kind::word, sql.substr(i, end - i), 0});
      i = end;
    } else if (is_digit(c)) {
      std::size_t end = i;
      while (end < sql.size() && (is_digit(sql[end]) || sql[end] == '.')) ++end;
      if (end < sql.size() && is_letter(sql[end]))
        return SqlVerdict::character_that_is_not_understood;
      out.push_back({Token::Kind::number, sql.substr(i, end - i), 0});
      i = end;
    } else if (is_operator(c)) {
      std::size_t end = i;
      while (end < sql.size() && is_operator(sql[end]) && !sql.substr(end).starts_with("--") &&
             !sql.substr(end).starts_with("/*"))
        ++end;
      out.push_back({Token::Kind::symbol, sql.substr(i, end - i), 0});
      i = end;
    } else if (std::string_view("()[],.").contains(c)) {
      out.push_back({Token::Kind::symbol, sql.substr(i, 1), 0});
      ++i;
    } else {
      return SqlVerdict::character_that_is_not_understood;
    }
  }
  out.push_back({});
  return SqlVerdict::ok;
}

class Checker {
 public:
  constexpr Checker(std::vector<Token> tokens, std::span<const schema::Table> tables, Door door)
      : tokens_(std::move(tokens)), tables_(tables), door_(door) {}

  constexpr SqlVerdict run(int parameters) {
    if (statement() == SqlVerdict::ok && verdict_ == SqlVerdict::ok &&
        peek().kind != Token::Kind::end)
      refuse(SqlVerdict::syntax_is_not_understood);
    if (verdict_ == SqlVerdict::ok && door_ == Door::tenant && !names_tenant_table_)
      refuse(SqlVerdict::tenant_statement_names_no_tenant_table);
    int highest = 0;
    for (const auto& t : tokens_) highest = t.parameter > highest ? t.parameter : highest;
    if (verdict_ == SqlVerdict::ok && highest != parameters)
      refuse(SqlVerdict::number_of_parameters_differs_from_the_arguments);
    return verdict_;
  }

 private:
  /// A table, sub-query or function in FROM, or the target of a change.
  struct Source {
    std::string_view alias;
    bool needs_filter = false;
    bool filtered = false;
  };
  struct Scope {
    std::vector<Source> sources;
    std::size_t first_item_begin = 0, first_item_end = 0;  ///< of the SELECT list
  };

  constexpr const Token& peek(std::size_t ahead = 0) const {
    return tokens_[at_ + ahead < tokens_.size() ? at_ + ahead : tokens_.size() - 1];
  }
  constexpr bool is_word(std::string_view word, std::size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::word && same_word(peek(ahead).text, word);
  }
  constexpr bool is_symbol(std::string_view symbol, std::size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::symbol && peek(ahead).text == symbol;
  }
  constexpr bool take_word(std::string_view word) {
    if (!is_word(word)) return false;
    ++at_;
    return true;
  }
  constexpr bool take_symbol(std::string_view symbol) {
    if (!is_symbol(symbol)) return false;
    ++at_;
    return true;
  }
  constexpr SqlVerdict refuse(SqlVerdict v) {
    if (verdict_ == SqlVerdict::ok) verdict_ = v;
    return verdict_;
  }
  constexpr bool failed() const { return verdict_ != SqlVerdict::ok; }
  constexpr void need_symbol(std::string_view symbol) {
    if (!take_symbol(symbol)) refuse(SqlVerdict::syntax_is_not_understood);
  }
  constexpr void need_word(std::string_view word) {
    if (!take_word(word)) refuse(SqlVerdict::syntax_is_not_understood);
  }

  /// A statement or sub-query; the names of its WITH end with it.
  constexpr SqlVerdict statement() {
    const auto outer = ctes_.size();
    statement_with_names();
    ctes_.resize(outer);
    return verdict_;
  }

  constexpr SqlVerdict statement_with_names() {
    if (take_word("with")) {
      if (is_word("recursive")) return refuse(SqlVerdict::keyword_is_not_allowed);
      do {
        if (peek().kind != Token::Kind::word) return refuse(SqlVerdict::syntax_is_not_understood);
        const auto name = peek().text;
        for (const auto& t : tables_)
          if (same_word(name, t.name))
            return refuse(SqlVerdict::common_table_expression_hides_a_table);
        ++at_;
        if (is_symbol("(")) names();
        need_word("as");
        if (take_word("not"))
          need_word("materialized");
        else
          take_word("materialized");
        need_symbol("(");
        statement();
        need_symbol(")");
        if (failed()) return verdict_;
        ctes_.push_back(name);
      } while (take_symbol(","));
    }
    Scope scope;
    if (is_word("select")) return select(scope);
    if (is_word("insert")) return insert();
    if (is_word("update")) return update();
    if (is_word("delete")) return remove();
    return refuse(SqlVerdict::statement_must_be_select_insert_update_delete_or_with);
  }

  /// A list of names in parentheses.
  constexpr void names() {
    need_symbol("(");
    while (!failed() && !is_symbol(")")) {
      if (peek().kind != Token::Kind::word) refuse(SqlVerdict::syntax_is_not_understood);
      ++at_;
      if (!take_symbol(",")) break;
    }
    need_symbol(")");
  }

  static constexpr std::string_view kClauses =
      "from where group having order limit offset fetch for window union intersect except "
      "returning on join left right "
      "full inner cross natural using set values do";

  constexpr SqlVerdict select(Scope& scope) {
    for (;;) {
      need_word("select");
      scope = {};
      scope.first_item_begin = at_;
      expression(kClauses, true, &scope.first_item_end);
      if (take_word("from")) from(scope);
      if (take_word("where")) condition(scope, scope.sources.size(), false);
      // What follows the condition cannot name a table of this level.
      while (!failed() &&
             (is_word("group") || is_word("having") || is_word("order") || is_word("limit") ||
              is_word("offset") || is_word("fetch") || is_word("window"))) {
        ++at_;
        expression(kClauses);
      }
      if (take_word("for")) {
        if (take_word("no"))
          need_word("key");
        else
          take_word("key");
        if (!take_word("update") && !take_word("share"))
          refuse(SqlVerdict::syntax_is_not_understood);
        expression(kClauses);
      }
      finish(scope);
      if (failed()) return verdict_;
      if (!take_word("union") && !take_word("intersect") && !take_word("except")) return verdict_;
      take_word("all");
    }
  }

  constexpr void finish(const Scope& scope) {
    for (std::size_t i = 0; i < scope.sources.size(); ++i) {
      if (scope.sources[i].needs_filter && !scope.sources[i].filtered)
        refuse(SqlVerdict::tenant_table_without_its_own_tenant_id_filter);
      for (std::size_t k = 0; k < i; ++k)
        if (same_alias(scope.sources[i].alias, scope.sources[k].alias))
          refuse(SqlVerdict::alias_is_used_twice);
    }
  }

  static constexpr bool same_alias(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    for (std::size_t i = 0; i < a.size(); ++i)
      if (lower(a[i]) != lower(b[i])) return false;
    return true;
  }

  /// The table at the cursor, as this door sees it.
  constexpr Source table() {
    Source source;
    if (peek().kind != Token::Kind::word) {
      refuse(SqlVerdict::syntax_is_not_understood);
      return source;
    }
    const auto name = peek().text;
    ++at_;
    source.alias = name;
    if (is_symbol(".")) refuse(SqlVerdict::schema_qualified_tables_are_not_allowed);
    for (const auto cte : ctes_)
      if (same_alias(name, cte)) return source;
    for (const auto& t : tables_) {
      if (!same_word(name, t.name)) continue;
      if (t.kind == schema::Kind::tenant) {
        names_tenant_table_ = true;
        if (door_ == Door::global)
          refuse(SqlVerdict::tenant_table_named_in_a_statement_that_has_no_tenant);
        source.needs_filter = door_ == Door::tenant;
      } else if (t.kind == schema::Kind::global && door_ != Door::global) {
        refuse(SqlVerdict::global_table_named_in_a_tenant_statement);
      }
      return source;
    }
    refuse(SqlVerdict::table_is_not_registered);
    return source;
  }

  /// `columns`: whether new names for its columns may follow. Never for a table: one of its columns
  /// could be called tenant_id.
  constexpr void alias(Source& source, bool columns) {
    const bool as = take_word("as");
    if (peek().kind == Token::Kind::word && !in_list(peek().text, kClauses)) {
      source.alias = peek().text;
      ++at_;
      if (is_symbol("(") && columns) names();
    } else if (as) {
      refuse(SqlVerdict::syntax_is_not_understood);
    }
  }

  constexpr void source(Scope& scope) {
    Source s;
    bool columns = true;
    if (take_symbol("(")) {
      if (!is_word("select") && !is_word("with")) refuse(SqlVerdict::syntax_is_not_understood);
      statement();
      need_symbol(")");
    } else if (is_word("unnest") && is_symbol("(", 1)) {
      at_ += 2;
      expression("");
      need_symbol(")");
      if (take_word("with")) need_word("ordinality");
    } else if (is_word("only") || is_word("lateral") || is_word("rows")) {
      refuse(SqlVerdict::keyword_is_not_allowed);
    } else if (is_symbol("(", 1)) {
      refuse(SqlVerdict::function_is_not_allowed);
    } else {
      s = table();
      columns = false;
    }
    alias(s, columns);
    scope.sources.push_back(s);
  }

  constexpr void from(Scope& scope) {
    source(scope);
    while (!failed()) {
      if (take_symbol(",")) {
        source(scope);
      } else if (take_word("cross")) {
        need_word("join");
        source(scope);
      } else if (is_word("join") || is_word("inner")) {
        take_word("inner");
        need_word("join");
        source(scope);
        need_word("on");
        condition(scope, scope.sources.size(), false);
      } else if (take_word("left")) {
        take_word("outer");
        need_word("join");
        source(scope);
        need_word("on");
        // The condition of an outer join filters the joined table only.
        condition(scope, scope.sources.size() - 1, true);
      } else if (is_word("right") || is_word("full") || is_word("natural") || is_word("using")) {
        refuse(SqlVerdict::join_is_not_understood);
      } else {
        return;
      }
    }
  }

  /// Reads a condition and marks the sources that have their filter among its ANDed parts. `only`:
  /// index of the only source it can filter, when `one` is set.
  constexpr void condition(Scope& scope, std::size_t only, bool one) {
    std::vector<std::pair<std::size_t, std::size_t>> parts;
    bool has_or = false;
    std::size_t begin = at_;
    for (;;) {
      expression(
          "and or from where group having order limit offset fetch for window union intersect "
          "except returning on join left "
          "right full inner cross natural using set values do");
      if (failed()) return;
      parts.emplace_back(begin, at_);
      if (is_word("or"))
        has_or = true;
      else if (!is_word("and"))
        break;
      begin = ++at_;
    }
    bool matched = false;
    for (const auto& [from_at, to] : parts) {
      std::string_view qualifier;
      if (!is_filter(from_at, to, qualifier)) continue;
      matched = true;
      if (has_or) continue;
      for (std::size_t i = 0; i < scope.sources.size(); ++i) {
        if (one && i != only) continue;
        if (qualifier.empty() ? scope.sources.size() == 1
                              : same_alias(qualifier, scope.sources[i].alias))
          scope.sources[i].filtered = true;
      }
    }
    if (matched && has_or) refuse(SqlVerdict::or_beside_the_tenant_id_filter);
  }

  /// Whether the tokens are exactly [alias .] tenant_id = $1.
  constexpr bool is_filter(std::size_t begin, std::size_t end, std::string_view& qualifier) const {
    if (end - begin == 5 && tokens_[begin].kind == Token::Kind::word &&
        tokens_[begin + 1].text == ".") {
      qualifier = tokens_[begin].text;
      begin += 2;
    }
    return end - begin == 3 && tokens_[begin].kind == Token::Kind::word &&
           same_word(tokens_[begin].text, "tenant_id") &&
           tokens_[begin + 1].kind == Token::Kind::symbol && tokens_[begin + 1].text == "=" &&
           tokens_[begin + 2].parameter == 1;
  }

  static constexpr std::string_view kCallable =
      "count sum min max avg coalesce nullif greatest least lower upper length now unnest "
      "array_agg jsonb_agg "
      "jsonb_build_object starts_with abs date_trunc cardinality array_length row "
      "in exists any all some and or not when then else select where filter over by as interval "
      "distinct is array case set "
      "limit offset";
  static constexpr std::string_view kKeywords =
      "select from where union intersect except case when then else end is not distinct and or on "
      "join left right inner "
      "full cross natural using group having order limit offset fetch for window returning with "
      "values set insert update "
      "delete into as all lateral only table conflict do";
  static constexpr std::string_view kForbidden =
      "table into lateral only tablesample natural copy truncate merge between grant revoke create "
      "alter drop call execute "
      "prepare insert update delete listen notify similar operator collate";

  /// Skips an expression up to one of the stop words at this level, a comma of a higher level, a
  /// closing parenthesis or the end; reads sub-queries on the way.
  constexpr void expression(std::string_view stops, bool list = false,
                            std::size_t* first_end = nullptr) {
    int cases = 0;
    bool first = true;
    at_stop_ = false;
    while (!failed()) {
      const Token& t = peek();
      if (t.kind == Token::Kind::end || is_symbol(")") || is_symbol("]")) break;
      if (t.kind == Token::Kind::symbol) {
        if (is_symbol("(") || is_symbol("[")) {
          group();
          at_stop_ = false;
          continue;
        }
        if (is_symbol(",") && list && first && first_end != nullptr) {
          *first_end = at_;
          first = false;
        }
        ++at_;
        continue;
      }
      if (t.kind != Token::Kind::word) {
        ++at_;
        continue;
      }
      word_of_expression(stops, cases);
      if (failed()) return;
      if (at_stop_) break;
      ++at_;
    }
    if (cases != 0) refuse(SqlVerdict::syntax_is_not_understood);
    if (first && first_end != nullptr) *first_end = at_;
  }

  /// Looks at the word at the cursor: a stop, the start or end of a CASE, a call, a plain word.
  constexpr void word_of_expression(std::string_view stops, int& cases) {
    const auto text = peek().text;
    const bool member = previous_is_symbol(".");
    // A keyword may be a name there; what follows would be read as something else than it is.
    if ((member || previous_is_word("as")) && in_list(text, kKeywords))
      refuse(SqlVerdict::keyword_is_not_allowed);
    if (!member) {
      if (cases > 0 && in_list(text, "from select union intersect except where with") &&
          !is_distinct_from())
        refuse(SqlVerdict::keyword_is_not_allowed);
      else if (is_word("case"))
        ++cases;
      else if (is_word("end") && cases > 0)
        --cases;
      else if (cases == 0 && in_list(text, stops) && !is_distinct_from())
        at_stop_ = true;
      else if (in_list(text, kForbidden))
        refuse(SqlVerdict::keyword_is_not_allowed);
    }
    if (!at_stop_) check_call(member);
  }

  constexpr void check_call(bool member) {
    if (!is_symbol("(", 1)) return;
    const bool notify = door_ == Door::global && is_word("pg_notify");
    if (member || !(notify || in_list(peek().text, kCallable)))
      refuse(SqlVerdict::function_is_not_allowed);
  }

  constexpr bool previous_is_symbol(std::string_view symbol) const {
    return at_ > 0 && tokens_[at_ - 1].kind == Token::Kind::symbol &&
           tokens_[at_ - 1].text == symbol;
  }
  constexpr bool previous_is_word(std::string_view word, std::size_t back = 1) const {
    return at_ >= back && tokens_[at_ - back].kind == Token::Kind::word &&
           same_word(tokens_[at_ - back].text, word);
  }

  /// x IS [NOT] DISTINCT FROM y.
  constexpr bool is_distinct_from() const {
    return is_word("from") && previous_is_word("distinct") &&
           (previous_is_word("is", 2) || (previous_is_word("not", 2) && previous_is_word("is", 3)));
  }

  constexpr void group() {
    const bool round = is_symbol("(");
    ++at_;
    if (round && (is_word("select") || is_word("with")))
      statement();
    else if (round &&
             (is_word("insert") || is_word("update") || is_word("delete") || is_word("values")))
      refuse(SqlVerdict::keyword_is_not_allowed);
    else
      expression("");
    need_symbol(round ? ")" : "]");
  }

  constexpr SqlVerdict insert() {
    need_word("insert");
    need_word("into");
    Scope scope;
    scope.sources.push_back(table());
    alias_of_target(scope.sources[0]);
    const bool tenant = scope.sources[0].needs_filter;
    if (failed()) return verdict_;
    if (is_symbol("(") && tenant) {
      if (!is_word("tenant_id", 1)) return refuse(SqlVerdict::insert_must_list_tenant_id_first);
    } else if (tenant) {
      return refuse(SqlVerdict::insert_must_list_tenant_id_first);
    }
    if (is_symbol("(")) names();
    if (take_word("values")) {
      do {
        need_symbol("(");
        if (tenant && (peek().parameter != 1 || !(is_symbol(",", 1) || is_symbol(")", 1))))
          return refuse(SqlVerdict::insert_must_give_the_tenant_first_in_each_row);
        expression("");
        need_symbol(")");
      } while (!failed() && take_symbol(","));
    } else if (is_word("select")) {
      // Citus takes INSERT ... SELECT only when tenant_id comes from a co-located table.
      Scope inner;
      const std::size_t start = at_;
      select(inner);
      if (failed()) return verdict_;
      if (tenant && !first_item_is_tenant(inner, start))
        return refuse(SqlVerdict::insert_must_give_the_tenant_first_in_each_row);
    } else {
      return refuse(SqlVerdict::syntax_is_not_understood);
    }
    scope.sources[0].filtered = true;
    if (take_word("on")) {
      need_word("conflict");
      if (is_symbol("(")) names();
      if (take_word("where")) expression("do");
      need_word("do");
      if (!take_word("nothing")) {
        need_word("update");
        need_word("set");
        assignments();
        if (take_word("where")) expression("returning");
      }
    }
    if (take_word("returning")) expression("");
    return verdict_;
  }

  constexpr bool first_item_is_tenant(const Scope& inner, std::size_t start) const {
    if (inner.first_item_begin != start + 1)
      return false;  // a UNION: the last arm is not the first
    const auto begin = inner.first_item_begin;
    if (inner.first_item_end - begin != 3 || tokens_[begin + 1].text != "." ||
        !same_word(tokens_[begin + 2].text, "tenant_id"))
      return false;
    for (const auto& s : inner.sources)
      if (s.needs_filter && same_alias(s.alias, tokens_[begin].text)) return true;
    return false;
  }

  constexpr void alias_of_target(Source& target) {
    if (take_word("as") ||
        (peek().kind == Token::Kind::word &&
         !in_list(peek().text, "set values select where using returning default"))) {
      if (peek().kind != Token::Kind::word) refuse(SqlVerdict::syntax_is_not_understood);
      target.alias = peek().text;
      ++at_;
    }
  }

  constexpr void assignments() {
    do {
      if (peek().kind != Token::Kind::word || !is_symbol("=", 1)) {
        refuse(SqlVerdict::syntax_is_not_understood);
        return;
      }
      if (is_word("tenant_id") && door_ != Door::global)
        refuse(SqlVerdict::tenant_id_is_never_updated);
      at_ += 2;
      assigned_value();
    } while (!failed() && take_symbol(","));
  }

  /// An expression that ends at a comma of its own level.
  constexpr void assigned_value() {
    while (!failed() && !is_symbol(",") && peek().kind != Token::Kind::end && !is_symbol(")") &&
           !is_word("from") && !is_word("where") && !is_word("returning")) {
      if (is_symbol("(") || is_symbol("[")) {
        group();
        continue;
      }
      if (peek().kind == Token::Kind::word) {
        const bool member = previous_is_symbol(".");
        check_call(member);
        if ((member || previous_is_word("as")) && in_list(peek().text, kKeywords))
          refuse(SqlVerdict::keyword_is_not_allowed);
        if (in_list(peek().text, kForbidden)) refuse(SqlVerdict::keyword_is_not_allowed);
      }
      ++at_;
    }
  }

  constexpr SqlVerdict update() {
    need_word("update");
    if (is_word("only")) return refuse(SqlVerdict::keyword_is_not_allowed);
    Scope scope;
    scope.sources.push_back(table());
    alias_of_target(scope.sources[0]);
    need_word("set");
    assignments();
    if (take_word("from")) from(scope);
    return filtered_change(scope);
  }

  constexpr SqlVerdict remove() {
    need_word("delete");
    need_word("from");
    if (is_word("only")) return refuse(SqlVerdict::keyword_is_not_allowed);
    Scope scope;
    scope.sources.push_back(table());
    alias_of_target(scope.sources[0]);
    if (take_word("using")) from(scope);
    return filtered_change(scope);
  }

  constexpr SqlVerdict filtered_change(Scope& scope) {
    if (take_word("where")) condition(scope, scope.sources.size(), false);
    if (take_word("returning")) expression("");
    finish(scope);
    return verdict_;
  }

  std::vector<Token> tokens_;
  std::span<const schema::Table> tables_;
  Door door_;
  std::size_t at_ = 0;
  std::vector<std::string_view> ctes_;
  bool names_tenant_table_ = false;
  bool at_stop_ = false;
  SqlVerdict verdict_ = SqlVerdict::ok;
};

}  // namespace sql

/// The verdict on a statement with this many bound values (the tenant included).
constexpr SqlVerdict check_sql(std::string_view text, std::span<const schema::Table> tables,
                               Door door, int parameters) {
  std::vector<sql::Token> tokens;
  if (const auto verdict = sql::tokenize(text, tokens); verdict != SqlVerdict::ok) return verdict;
  return sql::Checker(std::move(tokens), tables, door).run(parameters);
}

}  // namespace coditect::tenancy
