#include "detections.hpp"

#include <algorithm>
#include <cmath>

namespace edgec {
namespace {

using Boxes = std::vector<Box>;

std::string text(const std::vector<int64_t>& shape) {
  std::string result;
  for (const int64_t size : shape) result += (result.empty() ? "" : "x") + std::to_string(size);
  return result;
}

const Tensor& pick(const std::vector<Tensor>& outputs, size_t index, size_t rank, const Decoder& decoder) {
  if (index >= outputs.size()) throw Error("decoder " + decoder.kind + ": the network has too few outputs");
  const Tensor& tensor = outputs[index];
  if (tensor.shape.size() != rank || tensor.shape[0] != 1)
    throw Error("decoder " + decoder.kind + ": output " + tensor.name + " is " + text(tensor.shape));
  return tensor;
}

float sigmoid(float x) { return 0.5f * (1 + std::tanh(x * 0.5f)); }

// A candidate for each class that the box (centre, size) has a good score for; `score(class)` gives it.
template <typename Score>
void add(Boxes& boxes, float x, float y, float w, float h, int classes, float min_score, Score score) {
  for (int label = 0; label < classes; ++label) {
    const float value = score(label);
    if (value >= min_score) boxes.push_back({x - w / 2, y - h / 2, x + w / 2, y + h / 2, value, label});
  }
}

// [1, n, 5 + classes]: centre, size, objectness, class probabilities.
Boxes yolov5(const std::vector<Tensor>& outputs, const Decoder& decoder) {
  const Tensor& out = pick(outputs, 0, 3, decoder);
  const int width = int(out.shape[2]);
  if (width < 6) throw Error("decoder yolov5: at least 6 values a box are needed, there are " + std::to_string(width));
  Boxes boxes;
  for (int64_t i = 0; i < out.shape[1]; ++i) {
    const float* row = &out.values[i * width];
    add(boxes, row[0], row[1], row[2], row[3], width - 5, decoder.min_score,
        [&](int label) { return row[4] * row[5 + label]; });
  }
  return boxes;
}

// [1, 4 + classes, n]: centre, size, class probabilities.
Boxes yolov8(const std::vector<Tensor>& outputs, const Decoder& decoder) {
  const Tensor& out = pick(outputs, 0, 3, decoder);
  const int64_t count = out.shape[2];
  if (out.shape[1] < 5) throw Error("decoder yolov8: output " + out.name + " is " + text(out.shape));
  const float* v = out.values.data();
  Boxes boxes;
  for (int64_t i = 0; i < count; ++i)
    add(boxes, v[i], v[count + i], v[2 * count + i], v[3 * count + i], int(out.shape[1]) - 4, decoder.min_score,
        [&](int label) { return v[(4 + label) * count + i]; });
  return boxes;
}

// [1, n, 5 + classes] relative to the cells of the grids: centre = (xy + cell) * stride, size = exp(wh) * stride.
Boxes yolox(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& out = pick(outputs, 0, 3, decoder);
  const int width = int(out.shape[2]);
  int64_t cells = 0;
  for (const int stride : decoder.strides) cells += int64_t(placement.network[0] / stride) * (placement.network[1] / stride);
  if (width < 6 || cells != out.shape[1])
    throw Error("decoder yolox: output is " + text(out.shape) + ", the strides give " + std::to_string(cells) + " boxes");
  Boxes boxes;
  const float* row = out.values.data();
  for (const int stride : decoder.strides)
    for (int y = 0; y < placement.network[1] / stride; ++y)
      for (int x = 0; x < placement.network[0] / stride; ++x, row += width)
        add(boxes, (row[0] + x) * stride, (row[1] + y) * stride, std::exp(std::min(row[2], 8.f)) * stride,
            std::exp(std::min(row[3], 8.f)) * stride, width - 5, decoder.min_score,
            [&](int label) { return row[4] * row[5 + label]; });
  return boxes;
}

// Maps [1, anchors * (5 + classes), h, w] of logits, one a stride.
Boxes yolov3(const std::vector<Tensor>& outputs, const Decoder& decoder) {
  Boxes boxes;
  for (const Scale& scale : decoder.scales) {
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Tensor& t) { return t.name == scale.name; });
    if (found == outputs.end()) throw Error("decoder yolov3: no output is called " + scale.name);
    const Tensor& out = pick(outputs, size_t(found - outputs.begin()), 4, decoder);
    const int anchors = int(scale.anchors.size()), fields = int(out.shape[1]) / std::max(anchors, 1);
    if (!anchors || out.shape[1] % anchors || fields < 6)
      throw Error("decoder yolov3: output " + out.name + " is " + text(out.shape));
    const int64_t height = out.shape[2], width = out.shape[3], plane = height * width;
    for (int a = 0; a < anchors; ++a)
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          const float* v = &out.values[a * fields * plane + y * width + x];
          const float w = std::exp(std::min(v[2 * plane], 4.f)) * scale.anchors[a].first;
          const float h = std::exp(std::min(v[3 * plane], 4.f)) * scale.anchors[a].second;
          const float object = sigmoid(v[4 * plane]);
          add(boxes, (sigmoid(v[0]) + x) * scale.stride, (sigmoid(v[plane]) + y) * scale.stride, w, h, fields - 5,
              decoder.min_score, [&](int label) { return object * sigmoid(v[(5 + label) * plane]); });
        }
  }
  return boxes;
}

// Offsets [1, n, 4], scores [1, n, 1 + classes] with the background first, priors [1, n, 4] as shares of the input.
Boxes ssd(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor &offsets = pick(outputs, 0, 3, decoder), &scores = pick(outputs, 1, 3, decoder);
  if (outputs.size() < 3) throw Error("decoder ssd: the network has no output of priors");
  const Tensor& priors = outputs[2];
  const int64_t count = offsets.shape[1], width = scores.shape[2];
  if (offsets.shape[2] != 4 || scores.shape[1] != count || int64_t(priors.values.size()) != 4 * count)
    throw Error("decoder ssd: offsets, scores and priors do not belong together");
  Boxes boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float *o = &offsets.values[4 * i], *p = &priors.values[4 * i], *s = &scores.values[width * i];
    const float top = *std::max_element(s, s + width);
    float sum = 0;
    for (int64_t k = 0; k < width; ++k) sum += std::exp(s[k] - top);
    const float w = p[2] * std::exp(std::min(o[2] * decoder.variances[1], 8.f)) * placement.network[0];
    const float h = p[3] * std::exp(std::min(o[3] * decoder.variances[1], 8.f)) * placement.network[1];
    add(boxes, (p[0] + o[0] * decoder.variances[0] * p[2]) * placement.network[0],
        (p[1] + o[1] * decoder.variances[0] * p[3]) * placement.network[1], w, h, int(width) - 1, decoder.min_score,
        [&](int label) { return decoder.logits ? std::exp(s[label + 1] - top) / sum : s[label + 1]; });
  }
  return boxes;
}

// Heat map [1, classes, h, w], sizes and, if there is a third output, offsets [1, 2, h, w], in cells.
Boxes centernet(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor &heat = pick(outputs, 0, 4, decoder), &sizes = pick(outputs, 1, 4, decoder);
  const Tensor* offsets = outputs.size() > 2 ? &pick(outputs, 2, 4, decoder) : nullptr;
  const int64_t height = heat.shape[2], width = heat.shape[3], plane = height * width;
  for (const Tensor* map : {&sizes, offsets ? offsets : &sizes})
    if (map->shape[1] != 2 || map->shape[2] != height || map->shape[3] != width)
      throw Error("decoder centernet: output " + map->name + " is " + text(map->shape));
  const float cell_x = float(placement.network[0]) / width, cell_y = float(placement.network[1]) / height;
  Boxes boxes;
  for (int label = 0; label < heat.shape[1]; ++label)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const float* map = &heat.values[label * plane];
        const int64_t i = y * width + x;
        const float score = decoder.logits ? sigmoid(map[i]) : map[i];
        if (!(score >= decoder.min_score)) continue;
        bool peak = true;  // the largest of its neighbourhood
        for (int64_t v = std::max<int64_t>(0, y - 1); v <= std::min(height - 1, y + 1); ++v)
          for (int64_t u = std::max<int64_t>(0, x - 1); u <= std::min(width - 1, x + 1); ++u)
            peak = peak && map[v * width + u] <= map[i];
        if (!peak) continue;
        const float cx = x + (offsets ? offsets->values[i] : 0), cy = y + (offsets ? offsets->values[plane + i] : 0);
        const float w = sizes.values[i] / 2, h = sizes.values[plane + i] / 2;
        boxes.push_back({(cx - w) * cell_x, (cy - h) * cell_y, (cx + w) * cell_x, (cy + h) * cell_y, score, label});
      }
  return boxes;
}

// Boxes [1, n, 4], centre and size as shares, and scores [1, n, classes] of queries; or both as [1, n, 4 + classes].
Boxes detr(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement) {
  const bool joined = outputs.size() == 1;
  size_t at = 0;
  if (!joined && decoder.names.empty())
    for (size_t i = outputs.size(); i-- > 0;)
      if (outputs[i].shape.size() == 3 && outputs[i].shape[2] == 4) at = i;
  const Tensor &places = pick(outputs, at, 3, decoder), &scores = joined ? places : pick(outputs, at == 0 ? 1 : 0, 3, decoder);
  const int skipped = joined ? 4 : 0;
  const bool softmax = decoder.activation == "softmax", sigmoids = decoder.activation == "sigmoid";
  const bool background = decoder.background < 0 ? softmax : decoder.background > 0;
  const int64_t count = places.shape[1], stride = places.shape[2], width = scores.shape[2];
  const int classes = int(width) - skipped - int(background);
  if ((!joined && stride != 4) || scores.shape[1] != count || classes < 1)
    throw Error("decoder detr: boxes " + text(places.shape) + " and scores " + text(scores.shape) + " do not belong together");
  const float w = float(placement.network[0]), h = float(placement.network[1]);
  Boxes boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float *box = &places.values[i * stride], *row = &scores.values[i * width + skipped];
    const int all = classes + int(background);
    const float most = *std::max_element(row, row + all);
    float sum = 0;
    for (int k = 0; softmax && k < all; ++k) sum += std::exp(row[k] - most);
    const float half_w = box[2] / 2, half_h = box[3] / 2;
    for (int k = 0; k < classes; ++k) {
      const float score = softmax ? std::exp(row[k] - most) / sum : sigmoids ? sigmoid(row[k]) : row[k];
      if (score >= decoder.min_score)
        boxes.push_back({(box[0] - half_w) * w, (box[1] - half_h) * h, (box[0] + half_w) * w, (box[1] + half_h) * h, score, k});
    }
  }
  return boxes;
}

// [n, 6] or [1, n, 6]: corners, score, class; the network suppressed overlaps itself.
Boxes plain(const std::vector<Tensor>& outputs, const Decoder& decoder, const Placement& placement) {
  if (outputs.empty() || outputs[0].shape.empty() || outputs[0].shape.back() != 6 || outputs[0].values.size() % 6)
    throw Error("decoder boxes: the output is not [n, 6] or [1, n, 6]");
  Boxes boxes;
  for (size_t i = 0; i < outputs[0].values.size(); i += 6) {
    const float* row = &outputs[0].values[i];
    if (!(row[4] >= decoder.min_score) || !std::isfinite(row[5])) continue;
    const float w = decoder.shares ? float(placement.network[0]) : 1, h = decoder.shares ? float(placement.network[1]) : 1;
    const float half_w = row[2] / 2, half_h = row[3] / 2;
    if (decoder.centred)
      boxes.push_back({(row[0] - half_w) * w, (row[1] - half_h) * h, (row[0] + half_w) * w, (row[1] + half_h) * h, row[4], int(row[5])});
    else
      boxes.push_back({row[0] * w, row[1] * h, row[2] * w, row[3] * h, row[4], int(row[5])});
  }
  return boxes;
}

float overlap(const Box& a, const Box& b) {
  const float w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0), h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const float inner = std::max(w, 0.f) * std::max(h, 0.f);
  const float both = (a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - inner;
  return inner / std::max(both, 1e-6f);
}

float clipped(double value, double limit) { return float(std::min(std::max(value, 0.0), limit)); }

}  // namespace

Boxes suppress(Boxes boxes, float max_overlap, int limit) {
  std::stable_sort(boxes.begin(), boxes.end(), [](const Box& a, const Box& b) { return a.score > b.score; });
  Boxes kept;
  for (const Box& box : boxes) {
    if (int(kept.size()) == limit) break;
    const bool rival = max_overlap < 1 && std::any_of(kept.begin(), kept.end(), [&](const Box& better) {
                         return better.label == box.label && overlap(better, box) > max_overlap;
                       });
    if (!rival) kept.push_back(box);
  }
  return kept;
}

// The outputs of these names first, in their order.
std::vector<Tensor> in_order(const std::vector<Tensor>& outputs, const std::vector<std::string>& names) {
  std::vector<Tensor> ordered;
  for (const std::string& name : names) {
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Tensor& t) { return t.name == name; });
    if (found == outputs.end()) throw Error("decoder: no output is called " + name);
    ordered.push_back(*found);
  }
  return ordered;
}

Boxes decode(const std::vector<Tensor>& all, const Decoder& decoder, const Placement& placement) {
  const std::vector<Tensor> chosen = in_order(all, decoder.names);
  const std::vector<Tensor>& outputs = decoder.names.empty() ? all : chosen;
  Boxes boxes;
  if (decoder.kind == "boxes") boxes = plain(outputs, decoder, placement);
  else if (decoder.kind == "centernet") boxes = centernet(outputs, decoder, placement);
  else if (decoder.kind == "detr") boxes = detr(outputs, decoder, placement);
  else if (decoder.kind == "ssd") boxes = ssd(outputs, decoder, placement);
  else if (decoder.kind == "yolov3") boxes = yolov3(outputs, decoder);
  else if (decoder.kind == "yolov5") boxes = yolov5(outputs, decoder);
  else if (decoder.kind == "yolov8") boxes = yolov8(outputs, decoder);
  else if (decoder.kind == "yolox") boxes = yolox(outputs, decoder, placement);
  else throw Error("decoder " + decoder.kind + " is not one of boxes centernet detr ssd yolov3 yolov5 yolov8 yolox");

  const float width = float(placement.network[0]), height = float(placement.network[1]);
  Boxes sound;
  for (Box& box : boxes) {
    if (!std::isfinite(box.x0) || !std::isfinite(box.y0) || !std::isfinite(box.x1) || !std::isfinite(box.y1)) continue;
    // Before the overlaps: what lies outside of the input says nothing about the picture.
    sound.push_back({clipped(box.x0, width), clipped(box.y0, height), clipped(box.x1, width), clipped(box.y1, height),
                     box.score, box.label});
  }
  const bool alone = decoder.kind == "boxes" || decoder.kind == "centernet" || decoder.kind == "detr";
  sound = suppress(std::move(sound), decoder.max_overlap < 0 ? (alone ? 1.f : 0.5f) : decoder.max_overlap,
                   decoder.max_detections);
  for (Box& box : sound)
    for (int corner = 0; corner < 2; ++corner) {
      float &x = corner ? box.x1 : box.x0, &y = corner ? box.y1 : box.y0;
      x = clipped((x - placement.offset[0]) / placement.scale[0], placement.original[0]);
      y = clipped((y - placement.offset[1]) / placement.scale[1], placement.original[1]);
    }
  return sound;
}

}  // namespace edgec
