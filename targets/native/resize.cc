#include "resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

namespace edgec {
namespace {

constexpr int kBits = 22;   // of the fixed-point weights (Pillow, src/libImaging/Resample.c)
constexpr int kGroup = 12;  // bytes that are summed side by side: whole pixels of three channels, or of one
constexpr int kBlock = 64;  // columns that are summed side by side

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

// A weight for each byte of a window, zeros up to a whole number of groups.
struct Bytes {
  int first;  // byte of the row
  std::vector<int32_t> weights;
};

std::vector<Bytes> bytes_of(const std::vector<Window>& windows, int channels) {
  std::vector<Bytes> result;
  for (const Window& window : windows) {
    const size_t count = window.weights.size() * channels;
    Bytes bytes{window.first * channels, std::vector<int32_t>((count + kGroup - 1) / kGroup * kGroup, 0)};
    for (size_t i = 0; i < count; ++i) bytes.weights[i] = window.weights[i / channels];
    result.push_back(std::move(bytes));
  }
  return result;
}

// One row, which is readable for a group beyond its end.
template <int channels>
void narrow(const uint8_t* row, const std::vector<Bytes>& from, uint8_t* to) {
  for (const Bytes& window : from) {
    int32_t sums[kGroup] = {};
    const uint8_t* bytes = row + window.first;
    const int32_t* weights = window.weights.data();
    for (size_t i = 0; i < window.weights.size(); i += kGroup)
      for (int k = 0; k < kGroup; ++k) sums[k] += bytes[i + k] * weights[i + k];
    for (int c = 0; c < channels; ++c) {
      int32_t sum = 1 << (kBits - 1);
      for (int k = c; k < kGroup; k += channels) sum += sums[k];
      *to++ = rounded(sum);
    }
  }
}

// Rows `first` up to `last` brought to `width`.
Image resized_rows(const Image& image, int width, int first, int last) {
  Image result(width, last - first, image.channels);
  const std::vector<Bytes> from = bytes_of(windows(image.width, width), image.channels);
  const size_t stride = size_t(image.width) * image.channels;
  std::vector<uint8_t> end(stride + kGroup, 0);
  for (int y = first; y < last; ++y) {
    const uint8_t* row = image.at(0, y);
    if (size_t(image.height - 1 - y) * stride < kGroup) row = static_cast<const uint8_t*>(std::memcpy(end.data(), row, stride));
    (image.channels == 3 ? narrow<3> : narrow<1>)(row, from, result.at(0, y - first));
  }
  return result;
}

// The weighted sum of rows that lie `stride` bytes apart.
void flatten(const uint8_t* rows, size_t stride, const std::vector<int32_t>& weights, uint8_t* to) {
  size_t x = 0;
  for (; x + kBlock <= stride; x += kBlock) {
    int32_t sums[kBlock];
    for (int k = 0; k < kBlock; ++k) sums[k] = 1 << (kBits - 1);
    const uint8_t* row = rows + x;
    for (const int32_t weight : weights) {
      for (int k = 0; k < kBlock; ++k) sums[k] += row[k] * weight;
      row += stride;
    }
    for (int k = 0; k < kBlock; ++k) to[x + k] = rounded(sums[k]);
  }
  for (; x < stride; ++x) {
    int32_t sum = 1 << (kBits - 1);
    for (size_t i = 0; i < weights.size(); ++i) sum += rows[x + i * stride] * weights[i];
    to[x] = rounded(sum);
  }
}

}  // namespace

void resize_rows(const Image& image, int width, int height, int first, int last,
                 const std::function<void(int, const uint8_t*)>& take) {
  if (first >= last) return;
  const bool same = height == image.height;
  const std::vector<Window> from = same ? std::vector<Window>() : windows(image.height, height);
  const int begin = same ? first : from[first].first;
  const int end = same ? last : from[last - 1].first + int(from[last - 1].weights.size());
  const bool wide = width == image.width;
  const Image narrowed = wide ? Image() : resized_rows(image, width, begin, end);
  const size_t stride = size_t(width) * image.channels;
  const uint8_t* rows = wide ? image.at(0, begin) : narrowed.pixels.data();
  std::vector<uint8_t> row(stride);
  for (int y = first; y < last; ++y) {
    const uint8_t* at = rows + size_t((same ? y : from[y].first) - begin) * stride;
    if (!same) flatten(at, stride, from[y].weights, row.data());
    take(y, same ? at : row.data());
  }
}

Image resize(const Image& image, int width, int height) {
  Image result(width, height, image.channels);
  const size_t stride = size_t(width) * image.channels;
  resize_rows(image, width, height, 0, height, [&](int y, const uint8_t* row) { std::memcpy(result.at(0, y), row, stride); });
  return result;
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
