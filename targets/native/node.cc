#include "node.hpp"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace edgec {
namespace {

class Reader {
 public:
  Reader(const std::string& text, const std::string& source) : text_(text), source_(source) {}

  Node whole() {
    skip();
    const bool flow = at_ < text_.size() && (text_[at_] == '{' || text_[at_] == '[');
    Node node = flow ? value(false) : block();
    skip();
    if (at_ != text_.size()) fail("there is text after the end");
    return node;
  }

  Node one() {
    skip();
    Node node = at_ == text_.size() ? Node() : value(false);
    skip();
    if (at_ != text_.size()) fail("there is text after the value");
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    size_t line = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) line += text_[i] == '\n';
    throw Error(source_ + ": line " + std::to_string(line) + ": " + what);
  }

  // Over blanks, ends of lines and comments.
  void skip() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#' && (at_ == 0 || std::isspace(static_cast<unsigned char>(text_[at_ - 1]))))
        at_ = std::min(text_.find('\n', at_), text_.size() - 1);
      else if (!std::isspace(static_cast<unsigned char>(c))) return;
    }
  }

  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  bool took(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Node block() {
    Node node(Node::Kind::map);
    for (skip(); at_ < text_.size(); skip()) {
      if (at_ > 0 && text_[at_ - 1] != '\n') fail("a key must begin its line; write nested values as in JSON, [1, 2] or {a: 1}");
      const std::string key = text_[at_] == '"' || text_[at_] == '\'' ? quoted() : plain(":\n");
      if (at_ >= text_.size() || text_[at_] != ':') fail("`key: value` was expected");
      ++at_;
      blanks();
      const bool empty = at_ >= text_.size() || text_[at_] == '\n' || text_[at_] == '#';
      node.set(key, empty ? Node() : value(true));
    }
    return node;
  }

  Node value(bool line) {
    if (at_ >= text_.size()) fail("it ends too early");
    const char c = text_[at_];
    if (c == '{') return map();
    if (c == '[') return list();
    if (c == '"' || c == '\'') return Node(quoted());
    const std::string text = plain(line ? "\n" : ",]}\n");
    if (text.empty()) fail("a value was expected");
    return text == "null" || text == "~" ? Node() : Node(text);
  }

  Node map() {
    Node node(Node::Kind::map);
    ++at_;
    for (bool first = true; !took('}'); first = false) {
      if (!first && !took(',')) fail("`,` or `}` was expected");
      skip();
      if (at_ >= text_.size()) fail("it ends too early");
      const std::string key = text_[at_] == '"' || text_[at_] == '\'' ? quoted() : plain(":,}\n");
      if (!took(':')) fail("`:` was expected");
      skip();
      node.set(key, value(false));
    }
    return node;
  }

  Node list() {
    Node node(Node::Kind::list);
    ++at_;
    for (bool first = true; !took(']'); first = false) {
      if (!first && !took(',')) fail("`,` or `]` was expected");
      skip();
      node.add(value(false));
    }
    return node;
  }

  std::string plain(const char* ends) {
    const size_t begin = at_;
    const std::string stops(ends);
    while (at_ < text_.size() && stops.find(text_[at_]) == std::string::npos &&
           !(text_[at_] == '#' && at_ > begin && text_[at_ - 1] == ' '))
      ++at_;
    size_t end = at_;
    while (end > begin && std::isspace(static_cast<unsigned char>(text_[end - 1]))) --end;
    return text_.substr(begin, end - begin);
  }

  std::string quoted() {
    const char quote = text_[at_++];
    std::string result;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == quote) return ++at_, result;
      if (c != '\\' || quote == '\'') {
        result += c;
        continue;
      }
      if (++at_ >= text_.size()) break;
      const std::string from = "nrtbf", to = "\n\r\t\b\f";
      const size_t known = from.find(text_[at_]);
      if (text_[at_] == 'u') utf8(result);
      else result += known == std::string::npos ? text_[at_] : to[known];
    }
    fail("a text does not end");
  }

  unsigned code_unit() {
    if (at_ + 4 >= text_.size()) fail("a text does not end");
    const std::string digits = text_.substr(at_ + 1, 4);
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) fail("\\u needs four digits");
    at_ += 4;
    return static_cast<unsigned>(std::strtoul(digits.c_str(), nullptr, 16));
  }

  void utf8(std::string& to) {
    unsigned code = code_unit();
    if (code >= 0xd800 && code < 0xdc00 && text_.compare(at_ + 1, 2, "\\u") == 0) {
      at_ += 2;
      code = 0x10000 + ((code - 0xd800) << 10) + ((code_unit() - 0xdc00) & 0x3ff);
    }
    const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const unsigned first[] = {0, 0xc0, 0xe0, 0xf0};
    to += static_cast<char>(first[more] | (code >> (6 * more)));
    for (int left = more - 1; left >= 0; --left) to += static_cast<char>(0x80 | ((code >> (6 * left)) & 0x3f));
  }

  const std::string& text_;
  const std::string& source_;
  size_t at_ = 0;
};

Error bad(const std::string& text, const char* wanted) { return Error(text + " is not a " + wanted); }

double number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') throw bad(text, "number");
  return value;
}

template <typename T>
T whole(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  const bool fits = value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
  if (text.empty() || *end != '\0' || errno != 0 || !fits) throw bad(text, "whole number");
  return static_cast<T>(value);
}

template <typename T>
std::vector<T> list_of(const std::vector<Node>& items) {
  std::vector<T> result;
  for (const Node& item : items) result.push_back(item.as<T>());
  return result;
}

}  // namespace

const Node& Node::operator[](const std::string& key) const {
  static const Node nothing;
  for (const auto& entry : entries_)
    if (entry.first == key) return entry.second;
  return nothing;
}

void Node::set(const std::string& key, Node value) {
  for (auto& entry : entries_)
    if (entry.first == key) {
      entry.second = std::move(value);
      return;
    }
  entries_.emplace_back(key, std::move(value));
}

template <>
std::string Node::as() const {
  if (kind_ != Kind::scalar) throw bad(kind_ == Kind::null ? "nothing" : "a list or map", "text");
  return text_;
}
template <>
double Node::as() const {
  return number(as<std::string>());
}
template <>
float Node::as() const {
  return static_cast<float>(as<double>());
}
template <>
int Node::as() const {
  return whole<int>(as<std::string>());
}
template <>
int64_t Node::as() const {
  return whole<int64_t>(as<std::string>());
}
template <>
bool Node::as() const {
  const std::string text = as<std::string>();
  if (text != "true" && text != "false") throw bad(text, "boolean (true or false)");
  return text == "true";
}
template <>
std::vector<std::string> Node::as() const {
  return list_of<std::string>(items_);
}
template <>
std::vector<float> Node::as() const {
  return list_of<float>(items_);
}
template <>
std::vector<int> Node::as() const {
  return list_of<int>(items_);
}
template <>
std::vector<int64_t> Node::as() const {
  return list_of<int64_t>(items_);
}

Node parse(const std::string& text, const std::string& source) {
  detail::check_depth(text, source);
  return Reader(text, source).whole();
}

Node parse_value(const std::string& text, const std::string& source) {
  detail::check_depth(text, source);
  return Reader(text, source).one();
}

}  // namespace edgec
