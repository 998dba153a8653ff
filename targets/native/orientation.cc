#include "orientation.hpp"

#include <algorithm>

namespace edgec {
namespace {

// Numbers of a part of a file; beyond its end they are 0.
struct Bytes {
  const std::string& content;
  size_t begin, end;
  bool little = false;

  unsigned byte(size_t at) const { return begin + at < end ? static_cast<unsigned char>(content[begin + at]) : 0; }
  unsigned two(size_t at) const { return little ? byte(at) | byte(at + 1) << 8 : byte(at) << 8 | byte(at + 1); }
  unsigned four(size_t at) const { return little ? two(at) | two(at + 2) << 16 : two(at) << 16 | two(at + 2); }
};

int orientation_in(Bytes tiff) {
  constexpr unsigned kOrientation = 0x0112;
  tiff.little = tiff.byte(0) == 'I';
  const size_t directory = tiff.four(4);
  const unsigned entries = tiff.two(directory);
  for (unsigned i = 0; i < entries && directory + 12 * i < tiff.end; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (tiff.two(entry) != kOrientation) continue;
    const unsigned value = tiff.two(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace

int jpeg_orientation(const std::string& content) {
  const Bytes file{content, 0, content.size()};
  for (size_t at = 2; at + 4 <= content.size() && file.byte(at) == 0xff;) {
    const unsigned marker = file.byte(at + 1), length = file.two(at + 2);
    if (marker == 0xda || length < 2) break;  // the pixels begin
    if (marker == 0xe1 && content.compare(at + 4, 6, std::string("Exif\0\0", 6)) == 0)
      return orientation_in({content, at + 10, std::min(at + 2 + length, content.size())});
    at += 2 + length;
  }
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation <= 1) return image;
  const bool swapped = orientation >= 5;
  const bool mirrored = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;  // columns, in the source
  const bool flipped = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;   // rows, in the source
  Image turned(swapped ? image.height : image.width, swapped ? image.width : image.height, image.channels);
  for (int y = 0; y < turned.height; ++y)
    for (int x = 0; x < turned.width; ++x) {
      const int column = swapped ? y : x, row = swapped ? x : y;
      const uint8_t* from = image.at(mirrored ? image.width - 1 - column : column, flipped ? image.height - 1 - row : row);
      std::copy(from, from + image.channels, turned.at(x, y));
    }
  return turned;
}

}  // namespace edgec
