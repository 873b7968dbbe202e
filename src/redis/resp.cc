#include "redis/resp.h"

#include <charconv>

namespace coditect::redis {
namespace {

constexpr std::int64_t kMaxString = 512LL * 1024 * 1024, kMaxItems = 1 << 20;
constexpr int kMaxDepth = 32;

bool parse_number(std::string_view text, std::int64_t& out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  return bad == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

void append_command(std::string& out, const std::vector<std::string>& words) {
  out += '*' + std::to_string(words.size()) + "\r\n";
  for (const auto& word : words) {
    out += '$' + std::to_string(word.size()) + "\r\n";
    out += word;
    out += "\r\n";
  }
}

std::optional<std::string_view> Parser::line(std::size_t& at) {
  const auto end = buffer_.find("\r\n", at);
  if (end == std::string::npos) return std::nullopt;
  const auto text = std::string_view(buffer_).substr(at, end - at);
  at = end + 2;
  return text;
}

Parser::Status Parser::next(Reply& reply) {
  std::size_t at = start_;
  const auto status = parse(at, reply, 0);
  if (status == Status::complete) {
    start_ = at;
    if (start_ == buffer_.size() || start_ > 65536) {
      buffer_.erase(0, start_);
      start_ = 0;
    }
  }
  return status;
}

Parser::Status Parser::parse(std::size_t& at, Reply& reply, int depth) {
  if (depth > kMaxDepth) return Status::malformed;
  if (at >= buffer_.size()) return Status::incomplete;
  const char type = buffer_[at++];
  const auto head = line(at);
  if (!head)
    return buffer_.size() - at > 65536 && type != '+' && type != '-' ? Status::malformed
                                                                     : Status::incomplete;
  reply = Reply{};
  std::int64_t n = 0;
  switch (type) {
    case '+':
    case ',':  // double, as text
    case '(':  // big number, as text
      reply = {Reply::Kind::text, std::string(*head)};
      return Status::complete;
    case '-': reply = {Reply::Kind::error, std::string(*head)}; return Status::complete;
    case '_': return Status::complete;
    case '#':
      if (*head != "t" && *head != "f") return Status::malformed;
      reply = {Reply::Kind::integer, {}, *head == "t"};
      return Status::complete;
    case ':':
      if (!parse_number(*head, n)) return Status::malformed;
      reply = {Reply::Kind::integer, {}, n};
      return Status::complete;
    case '$':
    case '=':    // verbatim string
    case '!': {  // bulk error
      if (!parse_number(*head, n) || n < -1 || n > kMaxString) return Status::malformed;
      if (n == -1) return Status::complete;
      const auto size = static_cast<std::size_t>(n);
      if (buffer_.size() - at < size + 2) return Status::incomplete;
      if (buffer_[at + size] != '\r' || buffer_[at + size + 1] != '\n') return Status::malformed;
      reply = {type == '!' ? Reply::Kind::error : Reply::Kind::text, buffer_.substr(at, size)};
      if (type == '=' && reply.text.size() >= 4) reply.text.erase(0, 4);
      at += size + 2;
      return Status::complete;
    }
    case '*':
    case '~':
    case '>':
    case '%': {
      if (!parse_number(*head, n) || n < -1 || n > kMaxItems) return Status::malformed;
      if (n == -1) return Status::complete;
      reply.kind = Reply::Kind::array;
      if (type == '%') n *= 2;
      for (std::int64_t i = 0; i < n; ++i) {
        Reply item;
        if (const auto status = parse(at, item, depth + 1); status != Status::complete)
          return status;
        reply.items.push_back(std::move(item));
      }
      return Status::complete;
    }
    default: return Status::malformed;
  }
}

}  // namespace coditect::redis
