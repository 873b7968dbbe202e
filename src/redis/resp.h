#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The RESP2 and RESP3 wire format (https://redis.io/docs/latest/develop/reference/protocol-spec/).
namespace coditect::redis {

struct Reply {
  enum class Kind { null, text, error, integer, array };
  Kind kind = Kind::null;
  std::string text;  ///< of text and error
  std::int64_t integer = 0;
  std::vector<Reply> items;

  bool is_null() const { return kind == Kind::null; }
  bool is_error() const { return kind == Kind::error; }
};

/// A command as an array of bulk strings.
void append_command(std::string& out, const std::vector<std::string>& words);

/// Reads replies from a stream of bytes. Bounded: 512 MiB a string, 1M items, 32 levels.
class Parser {
 public:
  void append(std::string_view bytes) { buffer_.append(bytes); }

  enum class Status { complete, incomplete, malformed };
  /// The next reply; its bytes are consumed only when it is complete.
  Status next(Reply& reply);

 private:
  Status parse(std::size_t& at, Reply& reply, int depth);
  std::optional<std::string_view> line(std::size_t& at);

  std::string buffer_;
  std::size_t start_ = 0;
};

}  // namespace coditect::redis
