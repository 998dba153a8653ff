// Heads of boxes; each is described where Python has it, in data/decoders/.
#include <algorithm>
#include <cmath>

#include "decoding.hpp"

namespace edgec {
namespace {

// A candidate for each class for which the box (centre, size) has a good score; `score(class)` returns it.
template <typename Score>
void add(Objects& boxes, float x, float y, float w, float h, int classes, float min_score, Score score) {
  int good = 0;  // counted first, in a loop that compilers vectorize: most boxes contain nothing
  for (int label = 0; label < classes; ++label) good += score(label) >= min_score;
  for (int label = 0; good && label < classes; ++label) {
    const float value = score(label);
    if (value >= min_score) boxes.push_back({x - w / 2, y - h / 2, x + w / 2, y + h / 2, value, label});
  }
}

// [1, n, 5 + classes]: centre, size, objectness, class probabilities.
Objects yolov5(const Outputs& outputs, const Decoder& decoder, const Placement&) {
  const Tensor& out = pick(outputs, decoder, "output", 0, 3);
  const int width = int(out.shape[2]);
  if (width < 6) throw Error("decoder yolov5: each box has " + std::to_string(width) + " values, at least 6 are needed");
  check_names(decoder, width - 5);
  Objects boxes;
  for (int64_t i = 0; i < out.shape[1]; ++i) {
    const float* row = &out.values[i * width];
    add(boxes, row[0], row[1], row[2], row[3], width - 5, decoder.min_score,
        [&](int label) { return row[4] * row[5 + label]; });
  }
  return boxes;
}

// [1, 4 + classes, n]: centre, size, class probabilities.
Objects yolov8(const Outputs& outputs, const Decoder& decoder, const Placement&) {
  return by_column(pick(outputs, decoder, "output", 0, 3), decoder, 0);
}

// [1, n, 5 + classes] relative to the cells of the grids: centre = (xy + cell) * stride, size = exp(wh) * stride.
Objects yolox(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& out = pick(outputs, decoder, "output", 0, 3);
  const int width = int(out.shape[2]);
  int64_t cells = 0;
  for (const int stride : decoder.strides) cells += int64_t(placement.network[0] / stride) * (placement.network[1] / stride);
  if (width < 6 || cells != out.shape[1])
    throw Error("decoder yolox: output " + text_of(out.shape) + ", but the strides give " + std::to_string(cells) + " boxes");
  check_names(decoder, width - 5);
  Objects boxes;
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
Objects yolov3(const Outputs& outputs, const Decoder& decoder, const Placement&) {
  Objects boxes;
  for (const Scale& scale : decoder.scales) {
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Tensor& t) { return t.name == scale.name; });
    if (found == outputs.end()) throw Error("decoder yolov3: no output is called " + scale.name);
    const Tensor& out = *found;
    if (out.shape.size() != 4 || out.shape[0] != 1)
      throw Error("decoder yolov3: output " + out.name + " is " + text_of(out.shape) + ", not [1, channels, h, w]");
    const int anchors = int(scale.anchors.size()), fields = int(out.shape[1]) / std::max(anchors, 1);
    if (!anchors || out.shape[1] % anchors || fields < 6)
      throw Error("decoder yolov3: output " + out.name + " has " + std::to_string(out.shape[1]) + " channels for " +
                  std::to_string(anchors) + " anchors");
    check_names(decoder, fields - 5);
    const int64_t height = out.shape[2], width = out.shape[3], plane = height * width;
    for (int a = 0; a < anchors; ++a)
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          const float* v = &out.values[a * fields * plane + y * width + x];
          const float object = sigmoid(v[4 * plane]);
          if (!(object >= decoder.min_score)) continue;  // no class can raise the score
          const float w = std::exp(std::min(v[2 * plane], 4.f)) * scale.anchors[a].first;
          const float h = std::exp(std::min(v[3 * plane], 4.f)) * scale.anchors[a].second;
          add(boxes, (sigmoid(v[0]) + x) * scale.stride, (sigmoid(v[plane]) + y) * scale.stride, w, h, fields - 5,
              decoder.min_score, [&](int label) { return object * sigmoid(v[(5 + label) * plane]); });
        }
  }
  return boxes;
}

// Offsets [1, n, 4], scores [1, n, 1 + classes] with the background first, priors [1, n, 4] as shares of the input.
Objects ssd(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor &offsets = pick(outputs, decoder, "boxes", 0, 3), &scores = pick(outputs, decoder, "scores", 1, 3);
  const std::vector<float>& priors = decoder.priors.empty() ? pick(outputs, decoder, "priors", 2).values : decoder.priors;
  const int64_t count = offsets.shape[1], width = scores.shape[2];
  if (offsets.shape[2] != 4 || scores.shape[1] != count || int64_t(priors.size()) != 4 * count)
    throw Error("decoder ssd: offsets, scores and priors have different numbers of boxes");
  check_names(decoder, width - 1);
  Objects boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float *o = &offsets.values[4 * i], *p = &priors[4 * i], *s = &scores.values[width * i];
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
Objects centernet(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor &heat = pick(outputs, decoder, "heatmap", 0, 4), &sizes = pick(outputs, decoder, "sizes", 1, 4);
  const bool third = outputs.size() > 2 || decoder.names.count("offsets");
  const Tensor* offsets = third ? &pick(outputs, decoder, "offsets", 2, 4) : nullptr;
  check_names(decoder, heat.shape[1]);
  const int64_t height = heat.shape[2], width = heat.shape[3], plane = height * width;
  for (const Tensor* map : {&sizes, offsets ? offsets : &sizes})
    if (map->shape[1] != 2 || map->shape[2] != height || map->shape[3] != width)
      throw Error("decoder centernet: output " + map->name + " is " + text_of(map->shape) + ", not [1, 2, " +
                  std::to_string(height) + ", " + std::to_string(width) + "]");
  const float cell_x = float(placement.network[0]) / width, cell_y = float(placement.network[1]) / height;
  Objects boxes;
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

// Objects [1, n, 4], centre and size as shares, and scores [1, n, classes] of queries; or both as [1, n, 4 + classes].
Objects detr(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const bool joined = outputs.size() == 1 && !decoder.names.count("scores");
  size_t at = 0;
  if (!joined)
    for (size_t i = outputs.size(); i-- > 0;)
      if (outputs[i].shape.size() == 3 && outputs[i].shape[2] == 4) at = i;
  const Tensor& places = pick(outputs, decoder, "boxes", at, 3);
  const Tensor& scores = joined ? places : pick(outputs, decoder, "scores", at == 0 ? 1 : 0, 3);
  const int skipped = joined ? 4 : 0;
  const bool softmax = decoder.activation == "softmax", sigmoids = decoder.activation == "sigmoid";
  const bool background = decoder.background < 0 ? softmax : decoder.background > 0;
  const int64_t count = places.shape[1], stride = places.shape[2], width = scores.shape[2];
  const int classes = int(width) - skipped - int(background);
  if ((!joined && stride != 4) || scores.shape[1] != count || classes < 1)
    throw Error("decoder detr: boxes " + text_of(places.shape) + " and scores " + text_of(scores.shape) + " do not belong together");
  check_names(decoder, classes);
  const float w = float(placement.network[0]), h = float(placement.network[1]);
  Objects boxes;
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

// Boxes [n, 4], scores [n] and classes [n] of one picture, which may have a first axis of 1, as rows of 6.
std::vector<float> joined(const Outputs& outputs, const Decoder& decoder) {
  const Tensor &boxes = pick(outputs, decoder, "boxes", 0), &scores = pick(outputs, decoder, "scores", 1),
               &labels = pick(outputs, decoder, "labels", 2);
  std::vector<int64_t> rows = boxes.shape;
  if (!rows.empty()) rows.pop_back();
  if (boxes.shape.empty() || boxes.shape.back() != 4 || scores.shape != rows || labels.shape != rows ||
      !(rows.size() == 1 || (rows.size() == 2 && rows[0] == 1)))
    throw Error("decoder boxes: the outputs are " + text_of(boxes.shape) + ", " + text_of(scores.shape) + " and " +
                text_of(labels.shape) + ", not [n, 4], [n] and [n], or the same of 1 picture");
  size_t count = scores.values.size();
  if (decoder.names.count("count")) {
    const Tensor& number = pick(outputs, decoder, "count", 0);
    if (number.values.size() != 1) throw Error("decoder boxes: the count is " + text_of(number.shape) + ", not one number");
    count = size_t(std::min(double(count), std::max(0.0, double(number.values[0]))));
  }
  std::vector<float> result;
  for (size_t i = 0; i < count; ++i) {
    result.insert(result.end(), &boxes.values[4 * i], &boxes.values[4 * i] + 4);
    result.insert(result.end(), {scores.values[i], labels.values[i]});
  }
  return result;
}

// The rows of 6 of the only output.
const std::vector<float>& whole(const Outputs& outputs, const Decoder& decoder) {
  const Tensor& out = pick(outputs, decoder, "output", 0);
  if (out.shape.empty() || out.shape.back() != 6 || out.values.size() % 6)
    throw Error("decoder boxes: the output is not [n, 6] or [1, n, 6]");
  return out.values;
}

// [n, 6] or [1, n, 6]: corners, score, class; or these in three outputs. The network suppressed overlaps itself.
Objects plain(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const std::vector<float> rows = decoder.names.count("boxes") ? joined(outputs, decoder) : whole(outputs, decoder);
  Objects boxes;
  for (size_t i = 0; i < rows.size(); i += 6) {
    float row[6];
    std::copy_n(&rows[i], 6, row);
    if (decoder.rows_first) std::swap(row[0], row[1]), std::swap(row[2], row[3]);
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

}  // namespace

Result read_boxes(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  static const std::map<std::string, Objects (*)(const Outputs&, const Decoder&, const Placement&)> candidates = {
      {"boxes", plain}, {"centernet", centernet}, {"detr", detr}, {"ssd", ssd}, {"yolov3", yolov3},
      {"yolov5", yolov5}, {"yolov8", yolov8}, {"yolox", yolox}};
  Objects objects = select(candidates.at(decoder.kind)(outputs, decoder, placement), decoder, placement);
  to_original(objects, placement);
  return result_of("detections", std::move(objects), placement);
}

}  // namespace edgec
