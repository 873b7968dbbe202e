#include "domain/accounts/import_reader.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "auth/email.h"
#include "base/bytes.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "domain/accounts/model.h"

namespace coditect::accounts {
namespace {

/// As in the file. Text's limits are those of signup.
struct Given {
  http::Text<3, 40> slug;
  http::Text<1, 120> name;
  http::Text<3, 254> owner_email;
  std::optional<http::Text<1, 512>> owner_password_hash;
};
BOOST_DESCRIBE_STRUCT(Given, (), (slug, name, owner_email, owner_password_hash))

constexpr std::string_view kColumns[] = {"slug", "name", "owner_email", "owner_password_hash"};

[[noreturn]] void cannot_read(const std::string& name, const std::string& why) {
  fail(Code::invalid_argument, "import_file_unreadable", name + ": " + why);
}

http::FieldErrors one(std::string pointer, const Error& error) {
  if (error.fields.empty()) return {{std::move(pointer), std::string(error.reason), error.detail}};
  auto fields = error.fields;
  for (auto& f : fields) f.pointer = pointer;
  return fields;
}

}  // namespace

bool CsvRecord::is_open(std::string_view record) {
  return std::ranges::count(record, '"') % 2 != 0;
}

std::optional<std::vector<std::string>> CsvRecord::parse(std::string_view record) {
  std::vector<std::string> fields;
  for (std::size_t at = 0;;) {
    auto& field = fields.emplace_back();
    if (at < record.size() && record[at] == '"') {
      for (++at;; ++at) {
        if (at == record.size()) return std::nullopt;
        if (record[at] != '"') {
          field += record[at];
        } else if (at + 1 < record.size() && record[at + 1] == '"') {
          field += '"';
          ++at;
        } else {
          ++at;
          break;
        }
      }
      if (at < record.size() && record[at] != ',') return std::nullopt;
    } else {
      const auto end = std::min(record.find(',', at), record.size());
      field = record.substr(at, end - at);
      if (field.contains('"')) return std::nullopt;
      at = end;
    }
    if (at >= record.size()) return fields;
    ++at;  // the comma
  }
}

ImportReader::ImportReader(const std::string& file, const std::string& format)
    : file_(std::fopen(file.c_str(), "rbe")), name_(file), csv_(format == "csv") {
  if (format != "csv" && format != "jsonl")
    fail(Code::invalid_argument, "import_format_unknown", "--format is csv or jsonl");
  if (!file_) cannot_read(file, std::strerror(errno));
  struct stat s{};
  if (fstat(fileno(file_.get()), &s) != 0 || !S_ISREG(s.st_mode))
    cannot_read(file, "must be a regular file, to be read again after an interruption");
  size_ = s.st_size;
  if (csv_) read_header();
}

void ImportReader::read_header() {
  auto header = next_record();
  if (!header) cannot_read(name_, "is empty: the first line names the columns");
  if (header->starts_with("\xEF\xBB\xBF")) header->erase(0, 3);
  const auto columns = CsvRecord::parse(*header);
  if (!columns) cannot_read(name_, "line 1 is not CSV");
  columns_ = *columns;
  for (const auto& column : columns_)
    if (std::ranges::find(kColumns, column) == std::end(kColumns))
      cannot_read(name_, "line 1 names the column '" + column +
                             "'; known are slug, name, owner_email, owner_password_hash");
  for (const auto& needed : {kColumns[0], kColumns[1], kColumns[2]})
    if (std::ranges::count(columns_, needed) != 1)
      cannot_read(name_, "line 1 must name the column '" + std::string(needed) + "' once");
}

void ImportReader::seek(std::int64_t byte, std::int64_t line) {
  if (byte == 0) return;  // a new import: after the header, where the reader stands
  if (fseeko(file_.get(), byte, SEEK_SET) != 0) cannot_read(name_, std::strerror(errno));
  byte_ = byte;
  line_ = line;
}

/// Without its line break; nullopt at the end of the file. A record longer than allowed comes cut,
/// which no rule lets pass.
std::optional<std::string> ImportReader::next_record() {
  std::string record;
  bool any = false;
  for (int c = 0; (c = getc_unlocked(file_.get())) != EOF;) {
    any = true;
    ++byte_;
    if (c == '\n') {
      ++line_;
      if (!csv_ || record.size() > kLongestRecord || !CsvRecord::is_open(record)) break;
    }
    if (record.size() <= kLongestRecord) record += static_cast<char>(c);
  }
  if (std::ferror(file_.get()) != 0) cannot_read(name_, std::strerror(errno));
  if (!any) return std::nullopt;
  if (record.ends_with('\r')) record.pop_back();
  return record;
}

void ImportReader::take(const std::string& record, std::int64_t number, Step& step) {
  ImportReject reject{number, {}, {}};
  boost::json::value value;
  if (record.size() > kLongestRecord) {
    reject.errors = {{"", "too_long", "a record has at most 65536 bytes"}};
  } else if (csv_) {
    const auto fields = CsvRecord::parse(record);
    if (!fields || fields->size() != columns_.size()) {
      reject.errors = {{"", "malformed_csv",
                        "needs " + std::to_string(columns_.size()) + " fields as line 1 names"}};
    } else {
      auto& object = value.emplace_object();
      for (std::size_t i = 0; i < columns_.size(); ++i)
        if (columns_[i] != kColumns[3] || !(*fields)[i].empty()) object[columns_[i]] = (*fields)[i];
    }
  } else if (auto parsed = http::parse_json(record)) {
    value = std::move(*parsed);
  } else {
    reject.errors = one("", parsed.error());
  }
  std::optional<Given> given;
  if (reject.errors.empty()) {
    given = http::JsonType<Given>::read(value, "", reject.errors);
    if (const auto* object = value.if_object())
      if (const auto* slug = object->if_contains("slug"); slug != nullptr && slug->is_string())
        reject.slug = std::string(slug->get_string());
  }
  if (given) {
    auto email = auth::valid_email(given->owner_email.value);
    if (!email) reject.errors = one("/owner_email", email.error());
    if (const auto ok = valid_slug(given->slug.value); !ok)
      reject.errors = one("/slug", ok.error());
    const auto& hash = given->owner_password_hash;
    if (hash && !crypto::is_password_hash(hash->value))
      reject.errors = {{"/owner_password_hash", "invalid", "must be an Argon2id PHC string"}};
    if (reject.errors.empty()) {
      step.lines.push_back({number, given->slug.value, given->name.value, std::move(*email),
                            hash ? std::optional(hash->value) : std::nullopt});
      return;
    }
  }
  step.rejects.push_back(std::move(reject));
}

ImportReader::Step ImportReader::next(int records) {
  Step step;
  for (int i = 0; i < records; ++i) {
    const auto number = line_;
    const auto record = next_record();
    if (!record) {
      step.last = true;
      break;
    }
    if (!trim(*record).empty()) take(*record, number, step);
  }
  step.next_byte = byte_;
  step.next_line = line_;
  step.last = step.last || byte_ == size_;
  return step;
}

std::string ImportReader::fingerprint() {
  constexpr off_t kPart = 1 << 20;
  std::string text = std::to_string(size_) + (csv_ ? " csv\n" : " jsonl\n");
  std::string part(kPart, '\0');
  for (const off_t from : {off_t(0), std::max(off_t(0), off_t(size_) - kPart)}) {
    const auto n = pread(fileno(file_.get()), part.data(), part.size(), from);
    if (n < 0) cannot_read(name_, std::strerror(errno));
    text.append(part, 0, static_cast<std::size_t>(n));
  }
  return crypto::sha256(text);
}

}  // namespace coditect::accounts
