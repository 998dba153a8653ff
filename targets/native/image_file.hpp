// The content of a picture's file, and what kind it is.
#pragma once

#include <string>

#include "edgec_files.hpp"
#include "huffman.hpp"

namespace edgec {

constexpr int64_t kLargestPictureFile = int64_t{1} << 28;
constexpr int64_t kMostPixels = int64_t{1} << 27;  // more are a mistake, or meant to fill the memory

inline std::string read_picture_file(const std::string& path) {
  const int64_t size = detail::plain_size(path);
  if (size > kLargestPictureFile) throw Error(path + " is too large to be a picture");
  std::ifstream file(path, std::ios::binary);
  std::string content(static_cast<size_t>(size), '\0');
  file.read(&content[0], static_cast<std::streamsize>(size));
  if (!file) throw Error("cannot read " + path);
  return content;
}

inline bool begins(const std::string& content, const char* magic, size_t size) {
  return content.compare(0, size, magic, size) == 0;
}
inline bool is_jpeg(const std::string& content) { return begins(content, "\xff\xd8\xff", 3); }
inline bool is_png(const std::string& content) { return begins(content, "\x89PNG\r\n\x1a\n", 8); }
// Where the segments of a JPEG file end and its pixels begin; `tables`: whether Huffman tables are among them.
inline size_t jpeg_pixels(const std::string& content, bool& tables) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(content[at]); };
  size_t at = 2;
  for (tables = false; at + 4 <= content.size() && byte(at) == 0xff && byte(at + 1) != 0xda; at += 2 + (byte(at + 2) << 8 | byte(at + 3)))
    tables = tables || byte(at + 1) == 0xc4;
  return std::min(at, content.size());
}

// Whether the file goes on to the end of its pixels, which some decoders make up where they are missing.
inline bool is_whole_jpeg(const std::string& content) {
  bool tables = false;
  return content.find("\xff\xd9", jpeg_pixels(content, tables)) != std::string::npos;
}

// The same file with the Huffman tables that motion JPEG takes for known.
inline std::string with_tables(const std::string& content) {
  bool tables = false;
  const size_t at = jpeg_pixels(content, tables);
  const std::string known(reinterpret_cast<const char*>(kHuffmanTables), sizeof kHuffmanTables);
  return tables ? content : content.substr(0, at) + known + content.substr(at);
}
inline bool fits(int64_t width, int64_t height) { return width > 0 && height > 0 && width <= kMostPixels / height; }

}  // namespace edgec
