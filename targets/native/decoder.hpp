// From a network's outputs to what they mean: the decoders of `edgec eval`, with the same settings.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "preprocess.hpp"
#include "result.hpp"

namespace edgec {

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
  bool integers = false;  // in the network
};

// One output map of YOLOv3: its stride, and its anchors' widths and heights in pixels of the input.
struct Scale {
  std::string name;
  int stride;
  std::vector<std::pair<float, float>> anchors;
};

// The settings of all kinds; docs/evaluation.md of edgec says what they are.
struct Decoder {
  std::string kind;  // one of decoder_kinds(); empty: outputs are not decoded
  float min_score = 0.25f;
  float max_overlap = -1;   // IoU; -1: the kind's own
  int max_detections = -1;  // -1: the kind's own
  std::map<std::string, std::string> names;     // what an output is for -> its name; others are found by their place
  std::vector<std::string> classes;
  std::vector<int> strides = {8, 16, 32};       // yolox
  std::vector<Scale> scales;                    // yolov3
  std::vector<float> priors;                    // ssd; empty: an output has them
  std::vector<float> variances = {0.1f, 0.2f};  // ssd
  bool logits = false;                          // scores, ssd, centernet
  bool centred = false, shares = false;         // boxes: centre and size, of shares of the input
  bool rows_first = false;                      // boxes: y before x
  std::string activation = "sigmoid";           // detr: none, sigmoid or softmax
  int background = -1;                          // detr: the last class is no object; -1: with a softmax
  int masks = 32;                               // yolov8-seg
  int points = 17, values = 3;                  // yolov8-pose
  float threshold = -1;                         // dbnet, class-map; -1: the kind's own
  float unclip_ratio = 1.6f;                    // dbnet
  std::vector<std::string> characters;          // ctc: of classes 1, 2, ...
  std::string range;                            // picture: unit, byte, symmetric or auto; empty: the kind's own
  std::string colour = "rgb";                   // picture
};

// The kinds there are; and whether `kind` gives objects, which have scores and may overlap.
std::vector<std::string> decoder_kinds();
bool gives_objects(const std::string& kind);

// Returns what the outputs say, in pixels of the original picture.
Result decode(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement);

}  // namespace edgec
