#include "preprocess.hpp"

#include <algorithm>
#include <cmath>

#include "resize.hpp"

namespace edgec {
namespace {

using Size = std::array<int, 2>;

constexpr uint8_t kGrey = 114;  // the padding of YOLO tools

int rounded(double value) { return int(std::nearbyint(value)); }  // halves to the even side, as in Python

// The size the whole picture is brought to, and where its upper left corner then lies.
void fit(Size picture, Size size, const Preprocessing& how, Size& inner, Size& offset) {
  inner = size;
  offset = {0, 0};
  if (how.resize == "stretch") return;
  if (how.resize == "line") {
    inner[0] = std::min(size[0], int(std::ceil(double(int64_t(picture[0]) * size[1]) / picture[1])));
    return;
  }
  const double ratios[2] = {double(size[0]) / picture[0], double(size[1]) / picture[1]};
  if (how.resize == "letterbox") {
    const double ratio = std::min(ratios[0], ratios[1]);
    for (int axis = 0; axis < 2; ++axis) {
      inner[axis] = std::max(1, rounded(picture[axis] * ratio));
      offset[axis] = int(std::floor((size[axis] - inner[axis]) / 2.0));
    }
    return;
  }
  if (how.resize != "crop") throw Error("preprocess.resize: " + how.resize + " is not known");
  const int side = ratios[0] > ratios[1] ? 0 : 1;
  inner[side] = rounded(size[side] / how.crop_fraction);
  inner[1 - side] = std::max(size[1 - side], int(double(int64_t(inner[side]) * picture[1 - side]) / picture[side]));
  for (int axis = 0; axis < 2; ++axis) offset[axis] = -rounded((inner[axis] - size[axis]) / 2.0);
}

float one_of(const std::vector<float>& values, int channel) { return values[values.size() == 1 ? 0 : channel]; }

// How a channel of the input is made of bytes: (byte * scale - mean) / std of channel `from`.
struct Level {
  float scale, mean, std;
  int from;

  float of(uint8_t byte) const { return (float(byte) * scale - mean) / std; }
};

std::vector<Level> levels_of(const Preprocessing& how, int channels) {
  std::vector<Level> levels;
  for (int c = 0; c < channels; ++c)
    levels.push_back({how.scale, one_of(how.mean, c), one_of(how.std, c), how.colour == "bgr" ? 2 - c : c});
  return levels;
}

// An input that contains only padding, and zeros from column `end` on.
std::vector<float> padded(const std::vector<Level>& levels, int width, int height, int end, bool planes) {
  const size_t channels = levels.size();
  std::vector<float> tensor(channels * height * width);
  for (size_t c = 0; c < channels; ++c)
    for (int y = 0; y < height; ++y) {
      float* row = &tensor[planes ? (c * height + y) * width : size_t(y) * width * channels + c];
      const float value = levels[c].of(kGrey);
      if (planes) std::fill_n(row, std::min(end, width), value);
      else for (int x = 0; x < std::min(end, width); ++x) row[x * channels] = value;
    }
  return tensor;
}

// One loop that compilers vectorize: `to` goes on by `step` floats, `bytes` by `channels`.
template <int step, int channels, typename Value>
void fill_row(const uint8_t* bytes, int count, float* to, Value value) {
  for (int x = 0; x < count; ++x) to[x * step] = value(bytes[channels * x]);
}

template <int step, int channels>
void scale_row(const uint8_t* bytes, int count, const Level& level, float* to) {
  const float scale = level.scale, mean = level.mean, std = level.std;
  // Subtracting 0 and dividing by 1 changes nothing, but a division takes as long as all the rest.
  if (mean == 0 && std == 1) fill_row<step, channels>(bytes, count, to, [=](uint8_t byte) { return float(byte) * scale; });
  else fill_row<step, channels>(bytes, count, to, [=](uint8_t byte) { return (float(byte) * scale - mean) / std; });
}

}  // namespace

std::vector<float> preprocess(const Image& rgb, const std::vector<int64_t>& input, const Preprocessing& how,
                              Placement& placement) {
  const bool planes = how.layout == "NCHW";
  std::vector<int64_t> shape = input;
  if (shape.size() == 3) shape.insert(shape.begin(), 1);  // some networks take a picture without a batch
  if (shape.size() != 4 || shape[0] != 1) throw Error("the network's input cannot be filled from a single picture");
  constexpr int64_t kLongestSide = 1 << 16;
  for (const int64_t side : shape)
    if (side < 1 || side > kLongestSide) throw Error("the network's input is not a picture");
  if (rgb.width < 1 || rgb.height < 1) throw Error("the picture is empty");
  const int channels = int(shape[planes ? 1 : 3]), height = int(shape[planes ? 2 : 1]), width = int(shape[planes ? 3 : 2]);
  if (channels != (how.colour == "grey" ? 1 : 3))
    throw Error("the input has " + std::to_string(channels) + " channels, but the colour is " + how.colour);
  for (const auto* values : {&how.mean, &how.std})
    if (values->size() != 1 && values->size() != size_t(channels))
      throw Error("preprocess: mean and std need one value, or one for each of the input's channels");

  const Size picture = {rgb.width, rgb.height}, size = {width, height};
  Size inner, offset;
  fit(picture, size, how, inner, offset);
  for (int axis = 0; axis < 2; ++axis) {
    placement.original[axis] = picture[axis];
    placement.network[axis] = size[axis];
    placement.scale[axis] = double(inner[axis]) / picture[axis];
    placement.offset[axis] = offset[axis];
  }
  const int end = how.resize == "line" ? rounded(picture[0] * placement.scale[0]) : width;  // zeros from there on
  const std::vector<Level> levels = levels_of(how, channels);
  std::vector<float> tensor = padded(levels, width, height, end, planes);
  // The part of the picture that the input shows.
  const int left = std::max(0, offset[0]), right = std::min({width, offset[0] + inner[0], end});
  const int top = std::max(0, -offset[1]), bottom = std::min(inner[1], height - offset[1]);
  const auto take = [&](int y, const uint8_t* row) {
    const uint8_t* pixels = row + size_t(left - offset[0]) * channels;
    for (int c = 0; c < channels; ++c) {
      const size_t at = size_t(y + offset[1]) * width + left;
      const Level& level = levels[c];
      float* to = &tensor[planes ? size_t(c) * height * width + at : at * channels + c];
      if (channels == 1) scale_row<1, 1>(pixels, right - left, level, to);
      else if (planes) scale_row<1, 3>(pixels + level.from, right - left, level, to);
      else scale_row<3, 3>(pixels + level.from, right - left, level, to);
    }
  };
  const bool grey = how.colour == "grey";
  const Image levelled = grey ? to_grey(rgb) : Image();
  resize_rows(grey ? levelled : rgb, inner[0], inner[1], top, bottom, take);
  return tensor;
}

}  // namespace edgec
