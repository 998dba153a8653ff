// Pictures: 8 bits a channel, read, resized, drawn on and written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edgec_files.hpp"

namespace edgec {

// Pixels row by row, channels together: RGB, or grey where there is one channel.
struct Image {
  int width = 0, height = 0, channels = 3;
  std::vector<uint8_t> pixels;

  Image() = default;
  Image(int width, int height, int channels)
      : width(width), height(height), channels(channels), pixels(size_t(width) * height * channels) {}
  uint8_t* at(int x, int y) { return &pixels[(size_t(y) * width + x) * channels]; }
  const uint8_t* at(int x, int y) const { return &pixels[(size_t(y) * width + x) * channels]; }
};

// A JPEG or PNG file, or the content of one that messages call `name`.
Image read_image(const std::string& path);
Image decode_image(const std::string& content, const std::string& name);
// As a PNG file, or the content of one.
void write_image(const std::string& path, const Image& image);
std::string png_of(const Image& image);

Image to_grey(const Image& rgb);

// Bilinear, averaging over all pixels that an output pixel covers, to the bit as Pillow's Image.resize does: the
// calibration and the accuracy of the artefact were measured on pictures resized so. (Pillow 13 takes columns before
// rows where the height shrinks much more than the width; the rounding in between then differs by one of 255.)
Image resize(const Image& image, int width, int height);

}  // namespace edgec
