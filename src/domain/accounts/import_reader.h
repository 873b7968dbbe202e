#pragma once
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/json.h"

namespace coditect::accounts {

/// One line of an import that keeps all rules.
struct ImportLine {
  std::int64_t number = 0;  ///< of the first line of its record, from 1
  std::string slug, name, email;
  std::optional<std::string> password_hash;
};

/// One that does not: what the rejects file gets.
struct ImportReject {
  std::int64_t line = 0;
  std::string slug;
  http::FieldErrors errors;
};

/// Splits a CSV text (RFC 4180) into records. A record ends at a line break outside quotes.
class CsvRecord {
 public:
  /// The fields; nullopt when a quote is misplaced.
  static std::optional<std::vector<std::string>> parse(std::string_view record);
  /// Whether the text so far ends inside quotes, so that the record goes on in the next line.
  static bool is_open(std::string_view record);
};

/// Reads an import's file in order, from any byte where a record starts.
class ImportReader {
 public:
  static constexpr std::size_t kLongestRecord = 65536;

  /// Throws when the file cannot be read, is no regular file, or its CSV header is wrong.
  ImportReader(const std::string& file, const std::string& format);

  void seek(std::int64_t byte, std::int64_t line);
  struct Step {
    std::vector<ImportLine> lines;
    std::vector<ImportReject> rejects;
    std::int64_t next_byte = 0, next_line = 1;
    bool last = false;
  };
  /// Up to so many records.
  Step next(int records);

  std::int64_t size() const { return size_; }
  /// Tells one file from another, and from a changed one: its start, its end and its size.
  std::string fingerprint();

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::optional<std::string> next_record();
  void read_header();
  void take(const std::string& record, std::int64_t number, Step& step);

  std::unique_ptr<std::FILE, Close> file_;
  std::string name_;
  bool csv_;
  std::vector<std::string> columns_;
  std::int64_t size_ = 0, byte_ = 0, line_ = 1;
};

}  // namespace coditect::accounts
