#include "resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "cpu_flags.hpp"
#include "tile.hpp"

namespace edgec {
namespace {

constexpr int kBits = 22;      // of the fixed-point weights (Pillow, src/libImaging/Resample.c)
constexpr int kColumns = 640;  // pixels of each row that are transposed at a time, so that they stay in the cache

constexpr int kFewBits = 8;    // of weights whose sums with bytes fit in 16 bits

// The input pixels that one output pixel is the weighted sum of, by weights of `bits` fractional bits.
struct Window {
  int first = 0, bits = kBits;
  std::vector<int32_t> weights;

  int last() const { return first + int(weights.size()); }
};

// Drops zeros at the end of all weights, where this leaves few bits. For sides that are reduced to a half, a quarter or an
// eighth all weights are such, except at the borders; the sums stay the same and take a fraction of the time.
void shorten(Window& window) {
  int32_t all = 1 << (kBits - 1), sum = 0;
  for (const int32_t weight : window.weights) all |= weight, sum += weight;
  int zeros = 0;
  while ((all >> zeros) % 2 == 0) ++zeros;
  if (kBits - zeros > kFewBits || window.weights.size() < 2 || sum != 1 << kBits) return;
  window.bits -= zeros;
  for (int32_t& weight : window.weights) weight >>= zeros;
}

std::vector<Window> windows(int in, int out) {
  const double scale = double(in) / out, reach = std::max(scale, 1.0);
  std::vector<Window> result(out);
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, int(centre - reach + 0.5)), last = std::min(in, int(centre + reach + 0.5));
    std::vector<double> weights;
    weights.reserve(last - first);
    double sum = 0;
    for (int k = first; k < last; ++k) {
      const double distance = std::fabs((k - centre + 0.5) * (1.0 / reach));
      weights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
      sum += weights.back();
    }
    result[i].first = first;
    result[i].weights.reserve(weights.size());
    for (const double weight : weights)
      result[i].weights.push_back(int32_t(0.5 + (sum != 0 ? weight / sum : weight) * (1 << kBits)));
    shorten(result[i]);
  }
  return result;
}

// The weighted sum of rows of `block` bytes.
template <int block>
EDGEC_INLINE void sum_block(const uint8_t* rows, size_t stride, const Window& window, uint8_t* to) {
  const int bits = window.bits;
  int32_t sums[block];
  for (int k = 0; k < block; ++k) sums[k] = 1 << (bits - 1);
  for (const int32_t weight : window.weights) {
    for (int k = 0; k < block; ++k) sums[k] += rows[k] * weight;
    rows += stride;
  }
  for (int k = 0; k < block; ++k) to[k] = uint8_t(std::min(255, sums[k] >> bits));
}

// The same of tiles, by weights of few bits.
template <int tiles>
EDGEC_INLINE void sum_tiles(const uint8_t* rows, size_t stride, const Window& window, uint8_t* to) {
  const uint16_t bits = uint16_t(window.bits), half = uint16_t(1 << (bits - 1));
  Shorts low[tiles], high[tiles];
  for (int t = 0; t < tiles; ++t) low[t] = high[t] = Shorts{} + half;
  for (const int32_t weight : window.weights) {
    for (int t = 0; t < tiles; ++t) add_product(rows + t * kTile, uint8_t(weight), low[t], high[t]);
    rows += stride;
  }
  for (int t = 0; t < tiles; ++t) put_bytes(low[t] >> bits, high[t] >> bits, to + t * kTile);
}

// The weighted sum of rows of `count` bytes that lie `stride` bytes apart; `few`: by weights of few bits.
template <bool few>
EDGEC_INLINE void sum_rows(const uint8_t* rows, size_t stride, size_t count, const Window& window, uint8_t* to) {
  constexpr size_t wide = 3 * kTile;
  size_t x = 0;
  for (; x + wide <= count; x += wide)
    if (few) sum_tiles<3>(rows + x, stride, window, to + x);
    else sum_block<wide>(rows + x, stride, window, to + x);
  for (; x + kTile <= count; x += kTile)
    if (few) sum_tiles<1>(rows + x, stride, window, to + x);
    else sum_block<kTile>(rows + x, stride, window, to + x);
  for (; x < count; ++x) sum_block<1>(rows + x, stride, window, to + x);
}

using Sum = void (*)(const uint8_t*, size_t, size_t, const Window&, uint8_t*);

template <bool few>
void sum_anywhere(const uint8_t* rows, size_t stride, size_t count, const Window& window, uint8_t* to) {
  sum_rows<few>(rows, stride, count, window, to);
}

#if defined(__x86_64__)
template <bool few>
__attribute__((target("avx2"))) void sum_by_avx2(const uint8_t* rows, size_t stride, size_t count, const Window& window,
                                                 uint8_t* to) {
  sum_rows<few>(rows, stride, count, window, to);
}

template <bool few>
Sum best_sum() { return detail::cpu_has("avx2") ? sum_by_avx2<few> : sum_anywhere<few>; }
#else
template <bool few>
Sum best_sum() { return sum_anywhere<few>; }
#endif

// The best functions for this CPU.
struct Summing {
  const Sum few = best_sum<true>(), many = best_sum<false>();

  void operator()(const uint8_t* rows, size_t stride, size_t count, const Window& window, uint8_t* to) const {
    (window.bits <= kFewBits ? few : many)(rows, stride, count, window, to);
  }
};

// An image that is smaller than a tile, with further columns or rows.
Image padded(const Image& image) {
  Image result(std::max(image.width, kTile), std::max(image.height, kTile), image.channels);
  for (int y = 0; y < image.height; ++y) std::memcpy(result.at(0, y), image.at(0, y), size_t(image.width) * image.channels);
  return result;
}

void grow(std::vector<uint8_t>& bytes, size_t count) {
  if (bytes.size() < count) bytes.resize(count);
}

// Rows of an image, from `first` on. Each is followed by space for a tile, since whole tiles are written.
struct Rows {
  int first;
  size_t stride;
  std::vector<uint8_t> bytes;

  Rows(int first, int last, size_t width) : first(first), stride(width + kTile), bytes((last - first) * stride) {}
  uint8_t* at(size_t x, int y) { return &bytes[(y - first) * stride + x]; }
};

// Rows `first` up to `last` brought to `width`. Tiles are transposed, so that columns are summed as rows are, and back.
Rows narrowed(const Image& image, int width, int first, int last) {
  const bool small = std::min(image.width, image.height) < kTile;
  const Image copy = small ? padded(image) : Image();
  const Image& source = small ? copy : image;
  first = std::min(first, source.height - kTile), last = std::max(last, first + kTile);
  const Summing sum;
  const std::vector<Window> from = windows(image.width, width);
  const size_t channels = image.channels, pixel = channels * kTile, stride = source.width * channels;
  Rows result(first, last, width * channels);
  std::vector<uint8_t> transposed, summed;
  for (int row = first; row < last; row += kTile)
    for (int x = 0, end = 1; x < width; x = end++) {
      while (end < width && from[end].last() - from[x].first <= kColumns) ++end;
      const int y = std::min(row, last - kTile);
      const size_t begin = std::min(from[x].first * channels, stride - kTile), stop = from[end - 1].last() * channels;
      grow(transposed, (stop - begin + kTile) * kTile);
      for (size_t at = begin; at < stop; at += kTile) {
        const size_t column = std::min(at, stride - kTile);
        transpose(source.at(0, y) + column, stride, &transposed[(column - begin) * kTile], kTile);
      }
      grow(summed, (end - x) * pixel + kTile * kTile);
      for (int i = x; i < end; ++i)
        sum(&transposed[(from[i].first * channels - begin) * kTile], pixel, pixel, from[i], &summed[(i - x) * pixel]);
      for (size_t at = 0; at < (end - x) * channels; at += kTile)
        transpose(&summed[at * kTile], kTile, result.at(x * channels + at, y), result.stride);
    }
  return result;
}

}  // namespace

void resize_rows(const Image& image, int width, int height, int first, int last,
                 const std::function<void(int, const uint8_t*)>& take) {
  if (first >= last) return;
  const bool same = height == image.height, wide = width == image.width;
  const std::vector<Window> from = same ? std::vector<Window>() : windows(image.height, height);
  const int begin = same ? first : from[first].first, end = same ? last : from[last - 1].last();
  Rows narrow = wide ? Rows(0, 0, 0) : narrowed(image, width, begin, end);
  const size_t count = size_t(width) * image.channels, stride = wide ? count : narrow.stride;
  const uint8_t* rows = wide ? image.at(0, begin) : narrow.at(0, begin);
  const Summing sum;
  std::vector<uint8_t> row(count);
  for (int y = first; y < last; ++y) {
    const uint8_t* at = rows + size_t((same ? y : from[y].first) - begin) * stride;
    if (!same) sum(at, stride, count, from[y], row.data());
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
