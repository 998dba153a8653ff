// From a detector's outputs to boxes in the picture: the decoders of `edgec eval`, with the same settings.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "preprocess.hpp"

namespace edgec {

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Corners in pixels.
struct Box {
  float x0, y0, x1, y1, score;
  int label;
};

// One output map of YOLOv3: its stride, and its anchors' widths and heights in pixels of the input.
struct Scale {
  std::string name;
  int stride;
  std::vector<std::pair<float, float>> anchors;
};

struct Decoder {
  std::string kind;  // boxes, centernet, detr, ssd, yolov3, yolov5, yolov8, yolox; empty: outputs are not decoded
  float min_score = 0.25f;
  float max_overlap = -1;  // IoU; -1: the kind's own
  int max_detections = 100;
  std::vector<std::string> names;  // of the outputs, in the order in which the kind reads them; empty: as they are
  std::vector<std::string> classes;
  std::vector<int> strides = {8, 16, 32};    // yolox
  std::vector<Scale> scales;                 // yolov3
  std::vector<float> variances = {0.1f, 0.2f};  // ssd
  bool logits = false;                       // ssd, centernet
  bool centred = false, shares = false;      // boxes: centre and size, of shares of the input
  std::string activation = "sigmoid";        // detr: none, sigmoid or softmax
  int background = -1;                       // detr: the last class is no object; -1: with a softmax
};

// Returns the detections, best first, in pixels of the original picture.
std::vector<Box> decode(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement);

// Returns the boxes, best first and at most `limit`, that overlap no better one of their class.
std::vector<Box> suppress(std::vector<Box> boxes, float max_overlap, int limit);

}  // namespace edgec
