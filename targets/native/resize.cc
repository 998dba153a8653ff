#include <algorithm>
#include <cmath>
#include <fstream>

#include "image.hpp"

namespace edgec {
namespace {

constexpr int kBits = 22;  // of the fixed-point weights (Pillow, src/libImaging/Resample.c)

// The input pixels that one output pixel is the weighted sum of.
struct Window {
  int first = 0;
  std::vector<int32_t> weights;
};

std::vector<Window> windows(int in, int out) {
  const double scale = double(in) / out, reach = std::max(scale, 1.0);
  std::vector<Window> result(out);
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, int(centre - reach + 0.5)), last = std::min(in, int(centre + reach + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int k = first; k < last; ++k) {
      const double distance = std::fabs((k - centre + 0.5) * (1.0 / reach));
      weights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
      sum += weights.back();
    }
    result[i].first = first;
    for (const double weight : weights)
      result[i].weights.push_back(int32_t(0.5 + (sum != 0 ? weight / sum : weight) * (1 << kBits)));
  }
  return result;
}

uint8_t rounded(int32_t sum) { return uint8_t(std::min(255, std::max(0, sum >> kBits))); }

Image resize_rows(const Image& image, int width) {
  Image result(width, image.height, image.channels);
  const std::vector<Window> from = windows(image.width, width);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < image.channels; ++c) {
        int32_t sum = 1 << (kBits - 1);
        const uint8_t* pixel = image.at(from[x].first, y) + c;
        for (const int32_t weight : from[x].weights) {
          sum += *pixel * weight;
          pixel += image.channels;
        }
        result.at(x, y)[c] = rounded(sum);
      }
  return result;
}

Image resize_columns(const Image& image, int height) {
  Image result(image.width, height, image.channels);
  const std::vector<Window> from = windows(image.height, height);
  const int stride = image.width * image.channels;
  std::vector<int32_t> sums(stride);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), 1 << (kBits - 1));
    const uint8_t* row = image.at(0, from[y].first);
    for (const int32_t weight : from[y].weights) {
      for (int x = 0; x < stride; ++x) sums[x] += row[x] * weight;
      row += stride;
    }
    std::transform(sums.begin(), sums.end(), result.at(0, y), rounded);
  }
  return result;
}

}  // namespace

Image resize(const Image& image, int width, int height) {
  Image result = width == image.width ? image : resize_rows(image, width);
  return height == image.height ? result : resize_columns(result, height);
}

void write_image(const std::string& path, const Image& image) {
  std::ofstream file(path, std::ios::binary);
  const std::string content = png_of(image);
  file.write(content.data(), std::streamsize(content.size()));
  if (!file.flush()) throw Error("cannot write " + path);
}

Image to_grey(const Image& rgb) {
  Image grey(rgb.width, rgb.height, 1);
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    const uint8_t* pixel = &rgb.pixels[3 * i];  // ITU-R 601-2, as Pillow's convert("L")
    grey.pixels[i] = uint8_t((pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16);
  }
  return grey;
}

}  // namespace edgec
