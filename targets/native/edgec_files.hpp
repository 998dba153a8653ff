// edgec_files.hpp: the files of an artefact: where they may lie, and whether they are as SHA256SUMS says.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

namespace edgec {

// An error that the user can correct; shown as one message.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

constexpr int64_t kLongestText = int64_t{64} << 20;  // bytes of a manifest
constexpr int kDeepest = 100;                         // lists within lists of a manifest; ours have six

// SHA-256, FIPS 180-4.
class Sha256 {
 public:
  void update(const char* data, size_t size) {
    total_ += size;
    while (size > 0) {
      const size_t taken = std::min(size, sizeof block_ - used_);
      std::memcpy(block_ + used_, data, taken);
      data += taken, size -= taken, used_ += taken;
      if (used_ == sizeof block_) compress();
    }
  }

  // In hexadecimal; nothing may follow.
  std::string digest() {
    const uint64_t bits = total_ * 8;
    const char one = '\x80', zero = 0;
    update(&one, 1);
    while (used_ != 56) update(&zero, 1);
    for (int shift = 56; shift >= 0; shift -= 8) {
      const char byte = static_cast<char>(bits >> shift);
      update(&byte, 1);
    }
    std::string text;
    for (const uint32_t word : state_)
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    return text;
  }

 private:
  static uint32_t turned(uint32_t x, int by) { return x >> by | x << (32 - by); }

  void compress() {
    static const uint32_t kRound[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64];
    for (int i = 0; i < 16; ++i)
      w[i] = uint32_t{block_[4 * i]} << 24 | uint32_t{block_[4 * i + 1]} << 16 | uint32_t{block_[4 * i + 2]} << 8 |
             uint32_t{block_[4 * i + 3]};
    for (int i = 16; i < 64; ++i)
      w[i] = w[i - 16] + w[i - 7] + (turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3) +
             (turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10);
    uint32_t v[8];
    std::copy(state_, state_ + 8, v);
    for (int i = 0; i < 64; ++i) {
      const uint32_t t1 = v[7] + (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25)) +
                          ((v[4] & v[5]) ^ (~v[4] & v[6])) + kRound[i] + w[i];
      const uint32_t t2 = (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22)) +
                          ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
      std::copy_backward(v, v + 7, v + 8);
      v[4] += t1, v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; ++i) state_[i] += v[i];
    used_ = 0;
  }

  uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint8_t block_[64];
  size_t used_ = 0;
  uint64_t total_ = 0;
};

// Size of a plain file in bytes. Reading anything else, such as a pipe, could wait forever.
inline int64_t plain_size(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) throw Error("cannot read " + path);
  if (!S_ISREG(status.st_mode)) throw Error(path + " is not a plain file");
  return static_cast<int64_t>(status.st_size);
}

inline std::string read_text(const std::string& path) {
  if (plain_size(path) > kLongestText) throw Error(path + " is too long");
  std::ifstream stream(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream) throw Error("cannot read " + path);
  return text;
}

// Refuse JSON that would exhaust the stack of a recursive parser.
inline void check_depth(const std::string& json, const std::string& path) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted && c == '\\') ++i;
    else if (c == '"') quoted = !quoted;
    else if (!quoted && (c == '[' || c == '{') && ++depth > kDeepest) throw Error(path + " is nested too deeply");
    else if (!quoted && (c == ']' || c == '}')) --depth;
  }
}

// The path of the file `name` of the artefact, which must not leave its folder.
inline std::string inside(const std::string& folder, const std::string& name) {
  const std::string framed = "/" + name + "/";
  const bool plain = !name.empty() && name[0] != '/' && framed.find("/../") == std::string::npos &&
                     name.find('\\') == std::string::npos && name.find('\0') == std::string::npos;
  if (!plain) throw Error(folder + ": the manifest names '" + name + "', which leaves the folder");
  return folder + "/" + name;
}

inline std::string hash_of(const std::string& path) {
  plain_size(path);
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Error("cannot read " + path);
  Sha256 hash;
  char buffer[1 << 16];
  do {
    stream.read(buffer, sizeof buffer);
    hash.update(buffer, static_cast<size_t>(stream.gcount()));
  } while (stream);
  if (stream.bad()) throw Error("cannot read " + path);
  return hash.digest();
}

// Hashes by the files' names, as SHA256SUMS lists them.
inline std::map<std::string, std::string> sums(const std::string& folder) {
  constexpr size_t kDigits = 64;  // then two spaces and the name
  const std::string path = folder + "/SHA256SUMS", text = read_text(path);
  std::map<std::string, std::string> listed;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.size() < kDigits + 3 || line.compare(kDigits, 2, "  ") != 0) throw Error(path + " is damaged");
    listed[line.substr(kDigits + 2)] = line.substr(0, kDigits);
  }
  return listed;
}

// Refuse a file that is not in `listed`, or not as that says.
inline void check_file(const std::map<std::string, std::string>& listed, const std::string& folder, const std::string& name) {
  const auto found = listed.find(name);
  if (found == listed.end()) throw Error(folder + "/SHA256SUMS does not list " + name);
  if (hash_of(inside(folder, name)) != found->second)
    throw Error(folder + "/" + name + " was altered or damaged: copy the whole folder again, or compile again");
}

// `text` without control characters, because names come from models.
inline std::string printable(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool second = i > 0 && text[i - 1] == '\xc2' && byte >= 0x80 && byte < 0xa0;  // U+0080 to U+009F
    if (second) text[i - 1] = '?';
    if (byte < 0x20 || byte == 0x7f || second) text[i] = '?';
  }
  return text;
}

}  // namespace detail

}  // namespace edgec
