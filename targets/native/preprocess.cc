#include "preprocess.hpp"

#include <algorithm>
#include <cmath>

namespace edgec {
namespace {

using Size = std::array<int, 2>;

constexpr uint8_t kGrey = 114;  // what YOLO tools pad with

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

}  // namespace

std::vector<float> preprocess(const Image& rgb, const std::vector<int64_t>& shape, const Preprocessing& how,
                              Placement& placement) {
  const bool planes = how.layout == "NCHW";
  if (shape.size() != 4 || shape[0] != 1) throw Error("the network's input is no single picture");
  constexpr int64_t kLongestSide = 1 << 16;
  for (const int64_t side : shape)
    if (side < 1 || side > kLongestSide) throw Error("the network's input is no picture");
  if (rgb.width < 1 || rgb.height < 1) throw Error("a picture without pixels");
  const int channels = int(shape[planes ? 1 : 3]), height = int(shape[planes ? 2 : 1]), width = int(shape[planes ? 3 : 2]);
  if (channels != (how.colour == "grey" ? 1 : 3)) throw Error("the input's channels do not fit the colour " + how.colour);
  for (const auto* values : {&how.mean, &how.std})
    if (values->size() != 1 && values->size() != size_t(channels))
      throw Error("preprocess: mean and std want one value, or one for each of the input's channels");

  const Size picture = {rgb.width, rgb.height}, size = {width, height};
  Size inner, offset;
  fit(picture, size, how, inner, offset);
  for (int axis = 0; axis < 2; ++axis) {
    placement.original[axis] = picture[axis];
    placement.network[axis] = size[axis];
    placement.scale[axis] = double(inner[axis]) / picture[axis];
    placement.offset[axis] = offset[axis];
  }
  const Image resized = resize(how.colour == "grey" ? to_grey(rgb) : rgb, inner[0], inner[1]);

  const int end = how.resize == "line" ? rounded(picture[0] * placement.scale[0]) : width;  // zeros from there on
  std::vector<float> tensor(size_t(channels) * height * width);
  for (int c = 0; c < channels; ++c) {
    float table[256];  // a byte has 256 values only
    for (int value = 0; value < 256; ++value) {
      const float scaled = float(value) * how.scale;
      table[value] = (scaled - one_of(how.mean, c)) / one_of(how.std, c);
    }
    const int from = how.colour == "bgr" ? 2 - c : c;
    for (int y = 0; y < height; ++y) {
      const int row = y - offset[1];
      for (int x = 0; x < width; ++x) {
        const int column = x - offset[0];
        const bool inside = row >= 0 && row < resized.height && column >= 0 && column < resized.width;
        const float value = x >= end ? 0 : table[inside ? resized.at(column, row)[from] : kGrey];
        tensor[planes ? (size_t(c) * height + y) * width + x : (size_t(y) * width + x) * channels + c] = value;
      }
    }
  }
  return tensor;
}

}  // namespace edgec
