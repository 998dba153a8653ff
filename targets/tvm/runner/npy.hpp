// npy.hpp: read and write .npy files (format 1.0 to 3.0, little-endian, C order).
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "edgec.hpp"

namespace npy {

struct Array {
  std::string dtype;  // numpy's name
  std::vector<int64_t> shape;
  std::vector<char> data;
};

inline std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "x" : "") + std::to_string(shape[i]);
  return "[" + text + "]";
}

namespace detail {

inline size_t item_size(const std::string& dtype) { return edgec::detail::data_type(dtype).bits / 8; }

// `<f4` -> float32; empty if it is not supported.
inline std::string name_of(const std::string& descr) {
  if (descr.size() < 3 || descr.find_first_not_of("0123456789", 2) != std::string::npos) return "";
  const long bytes = std::strtol(descr.c_str() + 2, nullptr, 10);
  if (descr[0] != '<' && !(descr[0] == '|' && bytes == 1)) return "";
  if (descr[1] == 'b' && bytes == 1) return "bool";
  const bool power = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
  const std::string stem = descr[1] == 'f' ? "float" : descr[1] == 'i' ? "int" : descr[1] == 'u' ? "uint" : "";
  return power && !stem.empty() && !(stem == "float" && bytes == 1) ? stem + std::to_string(8 * bytes) : "";
}

inline std::string descr_of(const std::string& dtype) {
  const size_t bytes = item_size(dtype);
  const char kind = dtype == "bool" ? 'b' : dtype[0] == 'f' ? 'f' : dtype[0] == 'i' ? 'i' : 'u';
  return std::string(bytes == 1 ? "|" : "<") + kind + std::to_string(bytes);
}

// The text after `'key':` in the header, up to its end.
inline std::string value_of(const std::string& header, const std::string& key, const std::string& path) {
  const size_t at = header.find("'" + key + "'");
  const size_t colon = at == std::string::npos ? at : header.find(':', at);
  if (colon == std::string::npos) throw edgec::Error(path + ": malformed .npy header, no '" + key + "'");
  const size_t begin = header.find_first_not_of(' ', colon + 1);
  return begin == std::string::npos ? "" : header.substr(begin);
}

inline std::vector<int64_t> parse_shape(const std::string& text, const std::string& path) {
  const size_t end = text.find(')');
  if (text.empty() || text[0] != '(' || end == std::string::npos)
    throw edgec::Error(path + ": malformed .npy header, no shape");
  std::vector<int64_t> shape;
  constexpr int64_t kLargest = int64_t{1} << 40;
  for (size_t i = 1; i < end;) {
    if (text[i] == ' ' || text[i] == ',') {
      ++i;
      continue;
    }
    int64_t extent = 0;
    const size_t begin = i;
    while (i < end && text[i] >= '0' && text[i] <= '9' && extent < kLargest) extent = 10 * extent + (text[i++] - '0');
    if (i == begin || extent >= kLargest) throw edgec::Error(path + ": malformed shape in .npy header");
    shape.push_back(extent);
  }
  return shape;
}

}  // namespace detail

// Read an array that must have the port's shape and dtype; its first extent may be up to `batch` where the port's is 1,
// and extents that depend on the data may be smaller.
inline Array read(const std::string& path, const edgec::Port& port, int batch = 1) {
  const int64_t size = edgec::detail::plain_size(path);
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw edgec::Error("cannot read " + path);
  unsigned char start[12] = {};
  stream.read(reinterpret_cast<char*>(start), 10);
  if (!stream || std::memcmp(start, "\x93NUMPY", 6) != 0) throw edgec::Error(path + " is not a .npy file");
  size_t length = start[8] + 256u * start[9];
  if (start[6] >= 2) {  // formats 2 and 3: four bytes of length
    stream.read(reinterpret_cast<char*>(start + 10), 2);
    length += 65536u * start[10] + 16777216u * start[11];
  }
  constexpr size_t kLongestHeader = 1 << 16;
  if (!stream || length > kLongestHeader) throw edgec::Error(path + ": malformed .npy header");
  std::string header(length, '\0');
  stream.read(&header[0], static_cast<std::streamsize>(length));
  if (!stream) throw edgec::Error(path + ": truncated .npy header");

  Array array;
  const std::string descr = detail::value_of(header, "descr", path);
  const size_t quote = descr.empty() || descr[0] != '\'' ? std::string::npos : descr.find('\'', 1);
  if (quote != std::string::npos) array.dtype = detail::name_of(descr.substr(1, quote - 1));
  if (array.dtype.empty()) throw edgec::Error(path + ": unsupported .npy element type " + descr.substr(0, descr.find(',')));
  if (detail::value_of(header, "fortran_order", path).compare(0, 5, "False") != 0)
    throw edgec::Error(path + " is in Fortran order: save numpy.ascontiguousarray(array)");
  array.shape = detail::parse_shape(detail::value_of(header, "shape", path), path);
  std::vector<int64_t> item = array.shape;
  if (batch > 1 && !item.empty() && item[0] >= 1 && item[0] <= batch) item[0] = 1;
  for (size_t axis = 0; axis < port.sizes.size() && axis < item.size(); ++axis)
    if (port.sizes[axis] >= 0) item[axis] = std::max(item[axis], port.shape[axis]);
  if (array.dtype != port.dtype || item != port.shape)
    throw edgec::Error(path + " contains " + array.dtype + shape_text(array.shape) + ", but " + port.name + " is " +
                       port.dtype + shape_text(port.shape));
  size_t needed = detail::item_size(array.dtype);
  for (int64_t extent : array.shape) needed *= static_cast<size_t>(extent);
  const size_t held = static_cast<size_t>(size - static_cast<int64_t>(stream.tellg()));
  if (held < needed) throw edgec::Error(path + " is truncated: it has fewer bytes than its shape needs");
  if (held > needed) throw edgec::Error(path + " has more bytes than its shape needs");
  array.data.resize(needed);
  stream.read(array.data.data(), static_cast<std::streamsize>(needed));
  if (!stream) throw edgec::Error("cannot read " + path);
  return array;
}

inline void write(const std::string& path, const edgec::Port& port, const char* data) {
  std::string shape;
  for (int64_t extent : port.shape) shape += std::to_string(extent) + ", ";
  if (port.shape.size() > 1) shape.resize(shape.size() - 2);
  std::string header =
      "{'descr': '" + detail::descr_of(port.dtype) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr size_t kPrefix = 10, kAlign = 64;  // numpy pads so that the data begins at a multiple of 64
  header.append(kAlign - 1 - (kPrefix + header.size()) % kAlign, ' ');
  header += '\n';
  std::ofstream stream(path, std::ios::binary);
  const unsigned size = static_cast<unsigned>(header.size());
  const char start[kPrefix] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<char>(size & 255),
                               static_cast<char>(size >> 8)};
  stream.write(start, kPrefix);
  stream << header;
  stream.write(data, static_cast<std::streamsize>(port.bytes()));
  stream.flush();
  if (!stream) throw edgec::Error("cannot write " + path);
}

}  // namespace npy
