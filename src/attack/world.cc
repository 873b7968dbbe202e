#include "attack/world.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/id.h"
#include "crypto/digest.h"

namespace coditect::attack {
namespace {

namespace json = boost::json;

void take_id(const json::value& v, std::vector<std::string>& out) {
  const auto* o = v.if_object();
  const auto* id = o != nullptr ? o->if_contains("id") : nullptr;
  if (id != nullptr && id->is_string()) out.emplace_back(id->get_string());
  if (id != nullptr && id->is_int64()) out.push_back(std::to_string(id->get_int64()));
}

/// "project" of "project_01h455vb4pex5vsknk084sn02q"; empty for other shapes.
std::string_view type_prefix(std::string_view id) {
  const auto underscore = id.rfind('_');
  if (underscore == id.npos || id.size() - underscore != 27) return {};
  return id.substr(0, underscore);
}

std::string_view last_segment(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::vector<std::string> ids_in(const std::string& body) {
  boost::system::error_code ec;
  const auto v = json::parse(body, ec);
  std::vector<std::string> out;
  if (ec) return out;
  const auto* list = v.if_array();
  if (const auto* o = v.if_object())
    for (const auto& [name, value] : *o)
      if (list == nullptr && value.is_array()) list = &value.get_array();
  if (list != nullptr)
    for (const auto& item : *list) take_id(item, out);
  else
    take_id(v, out);
  return out;
}

std::string absent_like(const std::string& id) {
  if (const auto prefix = type_prefix(id); !prefix.empty())
    return std::string(prefix) + "_" + to_base32(make_uuid7());
  if (parse_uuid(id)) return to_string(make_uuid7());
  if (std::ranges::all_of(id, [](char c) { return c >= '0' && c <= '9'; })) return "987654321987";
  return "absent-" + to_hex(crypto::random_bytes(6));
}

std::optional<std::string> World::id_for(const Operation& op, std::string_view parameter) const {
  const auto it = ids.find(op.collection_of(parameter));
  if (it == ids.end() || it->second.empty()) return std::nullopt;
  return it->second.back();
}

std::optional<std::string> World::id_of(const std::string& noun) const {
  for (const auto& [path, list] : ids)
    if (!list.empty() && (type_prefix(list.back()) == noun || last_segment(path) == noun ||
                          last_segment(path) == noun + "s"))
      return list.back();
  return std::nullopt;
}

std::optional<std::string> World::value_for(const std::string& filter) const {
  std::string found, word;
  const auto look = [&](const auto& self, const std::string& member, const json::value& v) -> void {
    if (const auto* list = v.if_array())
      for (const auto& item : *list) self(self, member, item);
    if (const auto* object = v.if_object())
      for (const auto& [name, item] : *object) self(self, std::string(name), item);
    if (const auto* text = v.if_string()) {
      if (member == filter || member == filter + "s") found = std::string(*text);
      if ((member == "title" || member == "name" || member == "body") && !text->empty())
        word = std::string(text->subview(0, std::min(text->find(' '), text->size())));
    }
  };
  for (const auto& [operation, line] : snapshot) {
    boost::system::error_code ec;
    const auto v = json::parse(line.substr(std::min<std::size_t>(line.size(), 4)), ec);
    if (!ec) look(look, "", v);
  }
  if (!found.empty()) return found;
  return word.empty() ? std::nullopt : std::optional(word);
}

std::set<std::string> World::secrets() const {
  std::set<std::string> out{canary};
  for (const auto& [path, list] : ids)
    for (const auto& id : list)
      if (id.size() >= 12) out.insert(id);
  for (const auto& [path, cursor] : cursors) out.insert(cursor);
  return out;
}

Examples World::examples() {
  return {[this](const std::string& name) {
            const auto n = std::to_string(++written);
            if (name == "email") return "e" + n + "-" + canary + "@attack.example";
            if (name.contains("slug")) return "s" + n + "-" + to_hex(crypto::random_bytes(5));
            return canary + " " + name + " " + n;
          },
          [this](const std::string& noun) { return id_of(noun); }};
}

}  // namespace coditect::attack
