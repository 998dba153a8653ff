// A value of a JSON or YAML file: nothing, a scalar, a list or a map.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "edgec_files.hpp"

namespace edgec {

class Node {
 public:
  enum class Kind { null, scalar, list, map };

  Node() = default;
  explicit Node(Kind kind) : kind_(kind) {}
  explicit Node(std::string text) : kind_(Kind::scalar), text_(std::move(text)) {}

  Kind kind() const { return kind_; }
  explicit operator bool() const { return kind_ != Kind::null; }
  const std::vector<Node>& items() const { return items_; }                                 // of a list
  const std::vector<std::pair<std::string, Node>>& entries() const { return entries_; }  // of a map, in their order

  // The value of `key` in a map; nothing where there is none.
  const Node& operator[](const std::string& key) const;
  void set(const std::string& key, Node value);
  void add(Node item) { items_.push_back(std::move(item)); }

  // The scalar, or the list of scalars, as T: a string, bool, int, int64_t, float or double, or a vector of these.
  template <typename T>
  T as() const;
  // The same of the value of `key`, or `fallback` where there is none.
  template <typename T>
  T get(const std::string& key, T fallback) const {
    const Node& value = (*this)[key];
    return value ? value.as<T>() : fallback;
  }

 private:
  Kind kind_ = Kind::null;
  std::string text_;
  std::vector<Node> items_;
  std::vector<std::pair<std::string, Node>> entries_;
};

// Parse JSON, or YAML that is one map of a key a line: `key: value  # comment`, where lists and maps are written in one
// line, as in JSON, and text needs no quotes. `source` names it in messages.
Node parse(const std::string& text, const std::string& source);

// The same of one value, such as `[1, 2]`.
Node parse_value(const std::string& text, const std::string& source);

}  // namespace edgec
