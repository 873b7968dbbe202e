#include "domain/tasks/model.h"

#include <algorithm>

namespace coditect::tasks {

std::vector<std::string> terms_of(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  const auto finish = [&] {
    if (!word.empty() && word.size() <= 200 && out.size() < 64 &&
        std::ranges::find(out, word) == out.end())
      out.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    if (is_ascii_alnum(c) || static_cast<unsigned char>(c) >= 0x80)
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    else
      finish();
  }
  finish();
  return out;
}

}  // namespace coditect::tasks
