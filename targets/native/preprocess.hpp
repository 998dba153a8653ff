// From a picture to the network's input, as the manifest says; the same to the bit as edgec does on the host.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "image.hpp"

namespace edgec {

struct Preprocessing {
  std::string resize = "stretch";  // stretch, letterbox, crop, line
  double crop_fraction = 0.875;
  std::string colour = "rgb";  // rgb, bgr, grey
  float scale = 1.f / 255;
  std::vector<float> mean = {0}, std = {1};  // one for all channels, or one each
  std::string layout = "NCHW";               // or NHWC
};

// Where the picture lies in the input: network = original * scale + offset, in pixels; x first.
struct Placement {
  std::array<int, 2> original, network;
  std::array<double, 2> scale, offset;
};

// Returns the input tensor of `shape`, which is [1, C, H, W] or [1, H, W, C], and sets `placement`.
std::vector<float> preprocess(const Image& rgb, const std::vector<int64_t>& shape, const Preprocessing& how,
                              Placement& placement);

}  // namespace edgec
