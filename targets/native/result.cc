#include "result.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>

namespace edgec {
namespace {

using Names = std::vector<std::string>;
constexpr size_t kShown = 5;  // classes of a classification, numbers of an embedding are fewer

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string base64(const std::string& bytes) {
  const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    unsigned group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < left ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += k <= left ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// Run lengths down the columns of a mask of which `in(x, y)` tells the pixels, as COCO has them; see Python's run_lengths.py.
template <typename In>
std::string run_lengths(int width, int height, In in) {
  std::string counts;
  bool inside = false;
  int64_t length = 0;
  for (int x = 0; x < width; ++x)
    for (int y = 0; y < height; ++y, ++length)
      if (in(x, y) != inside) {
        counts += std::to_string(length) + ", ";
        inside = !inside, length = 0;
      }
  return format("{\"size\": [%d, %d], \"counts\": [", height, width) + counts + std::to_string(length) + "]}";
}

std::string mask_of(const Object& object, const Result& result) {
  const Patch& p = object.patch;
  return run_lengths(result.width, result.height, [&](int x, int y) {
    const int column = x - p.x, row = y - p.y;
    const bool there = column >= 0 && column < p.width && row >= 0 && row < p.height;
    return there && p.pixels[size_t(row) * p.width + column] != 0;
  });
}

std::string points_of(const Object& object, size_t values) {
  std::string text;
  for (size_t i = 0; i < object.points.size(); i += values) {
    text += format("%s[%.2f, %.2f", i ? ", " : "", double(object.points[i]), double(object.points[i + 1]));
    text += values == 3 ? format(", %.6g]", double(object.points[i + 2])) : "]";
  }
  return "[" + text + "]";
}

std::string json_of(const Object& object, const Result& result, const Names& names) {
  std::string text = format("{\"box\": [%.2f, %.2f, %.2f, %.2f], \"score\": %.6g, \"class\": %d, \"name\": ", double(object.x0),
                            double(object.y0), double(object.x1), double(object.y1), double(object.score), object.label);
  text += quoted(name_of(object.label, names));
  if (result.kind == "instances") text += ", \"mask\": " + mask_of(object, result);
  if (result.kind == "keypoints") text += ", \"points\": " + points_of(object, 3);
  if (result.kind == "rotated") text += ", \"corners\": " + points_of(object, 2);
  return text + "}";
}

// The classes, best first.
std::vector<int> ranked(const std::vector<float>& scores) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[size_t(a)] > scores[size_t(b)]; });
  return order;
}

std::string class_of(int label, float score, const Names& names) {
  return format("\"class\": %d, \"name\": ", label) + quoted(name_of(label, names)) + format(", \"score\": %.6g", double(score));
}

// The classes of a mask with the share that each has of the pixels, most frequent first.
std::vector<std::pair<int, double>> present(const Result& result) {
  std::map<int, int64_t> counts;
  int64_t all = 0;
  for (const uint8_t label : result.classes)
    if (label != kIgnored) ++counts[label], ++all;
  std::vector<std::pair<int, double>> shares;
  for (const auto& entry : counts) shares.push_back({entry.first, double(entry.second) / double(std::max<int64_t>(all, 1))});
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return shares;
}

std::string fields_of(const Result& result, const Names& names) {
  std::string text;
  const auto item = [&](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if (result.kind == "classification") {
    const std::vector<int> order = ranked(result.values);
    for (size_t i = 0; i < std::min(kShown, order.size()); ++i)
      item("{" + class_of(order[i], result.values[size_t(order[i])], names) + "}");
    return class_of(order[0], result.values[size_t(order[0])], names) + ", \"best\": [" + text + "]";
  }
  if (result.kind == "text") return "\"text\": " + quoted(result.text);
  if (result.kind == "embedding") {
    for (const float value : result.values) item(format("%.6g", double(value)));
    return "\"vector\": [" + text + "]";
  }
  if (result.kind == "picture")
    return format("\"made\": {\"width\": %d, \"height\": %d, \"channels\": %d, \"png\": \"", result.made.width, result.made.height,
                  result.made.channels) + base64(png_of(result.made)) + "\"}";
  if (result.kind == "mask") {
    for (const auto& entry : present(result)) {
      const auto in = [&](int x, int y) { return result.classes[size_t(y) * result.width + x] == entry.first; };
      item(format("{\"class\": %d, \"name\": ", entry.first) + quoted(name_of(entry.first, names)) +
           format(", \"share\": %.6f, \"rle\": ", entry.second) + run_lengths(result.width, result.height, in) + "}");
    }
    return "\"classes\": [" + text + "]";
  }
  for (const Object& object : result.objects) item(json_of(object, result, names));
  return "\"detections\": [" + text + "]";
}

}  // namespace

std::string name_of(int label, const Names& classes) {
  return label >= 0 && label < int(classes.size()) ? classes[size_t(label)] : std::to_string(label);
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? format("\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c))) : std::string(1, c);
  }
  return result + "\"";
}

std::string json_of(const std::string& picture, const Result& result, const Names& classes) {
  return "{\"picture\": " + quoted(picture) + ", \"kind\": " + quoted(result.kind) +
         format(", \"width\": %d, \"height\": %d, ", result.width, result.height) + fields_of(result, classes) + "}\n";
}

std::string text_of(const std::string& picture, const Result& result, const Names& classes) {
  std::string said;
  if (result.kind == "classification") {
    const std::vector<int> order = ranked(result.values);
    for (size_t i = 0; i < std::min(kShown, order.size()); ++i)
      said += (i ? ", " : "") + name_of(order[i], classes) + format(" %.3g", double(result.values[size_t(order[i])]));
  } else if (result.kind == "text") {
    said = result.text;
  } else if (result.kind == "embedding") {
    said = format("%d numbers", int(result.values.size()));
  } else if (result.kind == "picture") {
    said = format("%dx%d, %s", result.made.width, result.made.height, result.made.channels == 1 ? "grey" : "RGB");
  } else if (result.kind == "mask") {
    for (const auto& entry : present(result))
      said += (said.empty() ? "" : ", ") + name_of(entry.first, classes) + format(" %.1f%%", 100 * entry.second);
  } else {
    for (const Object& box : result.objects)
      said += detail::printable(picture) + ": " + detail::printable(name_of(box.label, classes)) +
              format(" %.2f  %.3f %.3f %.3f %.3f\n", double(box.score), double(box.x0), double(box.y0), double(box.x1), double(box.y1));
    return said;
  }
  return detail::printable(picture) + ": " + detail::printable(said) + "\n";
}

}  // namespace edgec
