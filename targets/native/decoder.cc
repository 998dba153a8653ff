#include "decoding.hpp"

#include <algorithm>
#include <cmath>

namespace edgec {
namespace {

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> all = {
      {"boxes", read_boxes},           {"centernet", read_boxes},       {"class-map", read_class_map},
      {"ctc", read_text},              {"dbnet", read_regions},         {"depth", read_made_picture},
      {"detr", read_boxes},            {"embedding", read_embedding},   {"picture", read_made_picture},
      {"scores", read_scores},         {"ssd", read_boxes},             {"yolov3", read_boxes},
      {"yolov5", read_boxes},          {"yolov8", read_boxes},          {"yolov8-obb", read_rotated},
      {"yolov8-pose", read_keypoints}, {"yolov8-seg", read_instances},  {"yolox", read_boxes},
  };
  return all;
}

float overlap(const Object& a, const Object& b) {
  const float w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0), h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const float inner = std::max(w, 0.f) * std::max(h, 0.f);
  const float both = (a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - inner;
  return inner / std::max(both, 1e-6f);
}

bool finite(const Object& box) {
  return std::isfinite(box.x0) && std::isfinite(box.y0) && std::isfinite(box.x1) && std::isfinite(box.y1);
}

float clipped(double value, double limit) { return float(std::min(std::max(value, 0.0), limit)); }

}  // namespace

std::vector<std::string> decoder_kinds() {
  std::vector<std::string> kinds;
  for (const auto& entry : readers()) kinds.push_back(entry.first);
  return kinds;
}

bool gives_objects(const std::string& kind) {
  const auto found = readers().find(kind);
  if (found == readers().end()) return false;
  const std::vector<Reader> all = {read_boxes, read_instances, read_keypoints, read_rotated, read_regions};
  return std::find(all.begin(), all.end(), found->second) != all.end();
}

Result decode(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  return readers().at(decoder.kind)(outputs, decoder, placement);
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string result;
  for (const int64_t size : shape) result += (result.empty() ? "" : "x") + std::to_string(size);
  return result;
}

const Tensor& pick(const Outputs& outputs, const Decoder& decoder, const std::string& role, size_t position) {
  const auto given = decoder.names.find(role);
  if (given == decoder.names.end()) {
    if (position < outputs.size()) return outputs[position];
    throw Error("decoder " + decoder.kind + ": the network has " + std::to_string(outputs.size()) +
                " outputs, but the decoder needs " + std::to_string(position + 1));
  }
  for (const Tensor& output : outputs)
    if (output.name == given->second) return output;
  throw Error("decoder " + decoder.kind + ": no output is called " + given->second);
}

const Tensor& pick(const Outputs& outputs, const Decoder& decoder, const std::string& role, size_t position, size_t rank) {
  const Tensor& tensor = pick(outputs, decoder, role, position);
  if (tensor.shape.size() != rank || tensor.shape[0] != 1)
    throw Error("decoder " + decoder.kind + ": output " + tensor.name + " is " + text_of(tensor.shape) + ", not 1 item of " +
                std::to_string(rank) + " axes: choose another --decoder, or name the output");
  return tensor;
}

void check_names(const Decoder& decoder, int64_t classes) {
  if (!decoder.classes.empty() && int64_t(decoder.classes.size()) != classes)
    throw Error(std::to_string(decoder.classes.size()) + " class names, but the network's outputs are of " +
                std::to_string(classes) + " classes: give as many names as there are classes (--classes)");
}

float sigmoid(float x) { return 0.5f * (1 + std::tanh(x * 0.5f)); }

Objects select(Objects candidates, const Decoder& decoder, const Placement& placement) {
  // Clipped before the overlaps are computed: what lies outside the input says nothing about the picture.
  Objects boxes;
  for (Object& box : candidates) {
    if (!finite(box)) continue;
    box.x0 = clipped(box.x0, placement.network[0]), box.y0 = clipped(box.y0, placement.network[1]);
    box.x1 = clipped(box.x1, placement.network[0]), box.y1 = clipped(box.y1, placement.network[1]);
    boxes.push_back(std::move(box));
  }
  std::stable_sort(boxes.begin(), boxes.end(), [](const Object& a, const Object& b) { return a.score > b.score; });
  Objects kept;
  for (Object& box : boxes) {
    if (int(kept.size()) == decoder.max_detections) break;
    const bool rival = decoder.max_overlap < 1 && std::any_of(kept.begin(), kept.end(), [&](const Object& better) {
                         return better.label == box.label && overlap(better, box) > decoder.max_overlap;
                       });
    if (!rival) kept.push_back(std::move(box));
  }
  return kept;
}

void to_original(float& x, float& y, const Placement& placement, bool clip) {
  const double px = (x - placement.offset[0]) / placement.scale[0], py = (y - placement.offset[1]) / placement.scale[1];
  x = clip ? clipped(px, placement.original[0]) : float(px);
  y = clip ? clipped(py, placement.original[1]) : float(py);
}

void to_original(Objects& objects, const Placement& placement) {
  for (Object& box : objects) {
    to_original(box.x0, box.y0, placement);
    to_original(box.x1, box.y1, placement);
  }
}

Result result_of(const char* kind, Objects objects, const Placement& placement) {
  Result result;
  result.kind = kind;
  result.width = placement.original[0], result.height = placement.original[1];
  result.objects = std::move(objects);
  return result;
}

Objects by_column(const Tensor& output, const Decoder& decoder, int64_t further) {
  constexpr int64_t kBlock = 64;  // most have nothing to look at, which is told in one vectorized loop
  const int64_t count = output.shape[2], classes = output.shape[1] - 4 - further;
  if (classes < 1)
    throw Error("decoder " + decoder.kind + ": each box has " + std::to_string(output.shape[1]) + " values, at least " +
                std::to_string(5 + further) + " are needed");
  check_names(decoder, classes);
  Objects found;
  for (int64_t label = 0; label < classes; ++label) {
    const float* line = &output.values[(4 + label) * count];
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t end = std::min(begin + kBlock, count);
      int good = 0;
      for (int64_t i = begin; i < end; ++i) good += line[i] >= decoder.min_score;
      for (int64_t i = begin; good && i < end; ++i)
        if (line[i] >= decoder.min_score) found.push_back({0, 0, 0, 0, line[i], int(label), int(i)});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Object& a, const Object& b) { return a.row < b.row; });
  for (Object& box : found) {
    const float *column = &output.values[box.row], w = column[2 * count] / 2, h = column[3 * count] / 2;
    box.x0 = column[0] - w, box.y0 = column[count] - h, box.x1 = column[0] + w, box.y1 = column[count] + h;
  }
  return found;
}

}  // namespace edgec
