#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/message.h"

namespace coditect::http {

/// Path parameters by name.
class PathParams {
 public:
  void add(std::string_view name, const std::string& value) { all_.emplace_back(name, value); }
  /// The value; the pattern must have the parameter.
  const std::string& at(std::string_view name) const {
    for (const auto& [n, value] : all_)
      if (n == name) return value;
    CHECK(!"a path parameter that the pattern lacks");
    std::unreachable();
  }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::vector<std::pair<std::string_view, std::string>> all_;
};

/// Finds what answers a method and path. Patterns are "/v1/tenants/{tenant}/tasks"; a literal
/// segment beats a parameter. T is whatever the caller keeps per route.
template <class T>
class Router {
 public:
  /// The pattern must not be there already for this method.
  void add(std::string_view method, std::string_view pattern, T value) {
    Node* node = &root_;
    for (std::string_view rest = pattern; !rest.empty();) {
      rest.remove_prefix(1);
      const auto segment = rest.substr(0, rest.find('/'));
      rest.remove_prefix(segment.size());
      auto& next =
          segment.starts_with('{') ? node->parameter : node->literals[std::string(segment)];
      if (!next) next = std::make_unique<Node>();
      node = next.get();
      if (segment.starts_with('{')) node->name = segment.substr(1, segment.size() - 2);
    }
    node->methods.emplace(method, std::move(value));
  }

  struct Match {
    const T* route = nullptr;  ///< null: no such path, or not this method
    PathParams params;
    /// When the path has no such method: those it has, "GET, HEAD, POST"; empty without a path.
    std::string allowed;
  };

  Match find(std::string_view method, const std::vector<std::string>& segments) const {
    Match match;
    const Node* node = walk(root_, segments, 0, match.params);
    if (node == nullptr) return match;
    const auto it = node->methods.find(method == "HEAD" ? "GET" : method);
    if (it != node->methods.end()) {
      match.route = &it->second;
      return match;
    }
    for (const auto& [name, value] : node->methods)
      match.allowed += (match.allowed.empty() ? "" : ", ") + name + (name == "GET" ? ", HEAD" : "");
    return match;
  }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> parameter;
    std::string name;
    std::map<std::string, T, std::less<>> methods;
  };

  static const Node* walk(const Node& node, const std::vector<std::string>& segments,
                          std::size_t at, PathParams& params) {
    if (at == segments.size()) return node.methods.empty() ? nullptr : &node;
    if (const auto it = node.literals.find(segments[at]); it != node.literals.end())
      if (const Node* found = walk(*it->second, segments, at + 1, params)) return found;
    if (node.parameter && !segments[at].empty()) {
      if (const Node* found = walk(*node.parameter, segments, at + 1, params)) {
        params.add(node.parameter->name, segments[at]);
        return found;
      }
    }
    return nullptr;
  }

  Node root_;
};

}  // namespace coditect::http
