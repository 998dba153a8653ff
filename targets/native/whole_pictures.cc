// Heads that say something of the picture as a whole, or of each of its pixels.
#include <algorithm>
#include <cmath>

#include "decoding.hpp"

namespace edgec {
namespace {

// The values of an output [1, n], or with more axes of 1.
const std::vector<float>& row(const Outputs& outputs, const Decoder& decoder) {
  const Tensor& out = pick(outputs, decoder, "output", 0);
  const int64_t longest = out.shape.empty() ? 1 : *std::max_element(out.shape.begin(), out.shape.end());
  if (out.values.empty() || longest != int64_t(out.values.size()))
    throw Error("decoder " + decoder.kind + ": output " + out.name + " is " + text_of(out.shape) + ", not [1, n]");
  return out.values;
}

// For each pixel of the picture along an axis, the cell of the map that its centre falls in; -1 where there is none.
std::vector<int64_t> cells_of(const Placement& placement, int axis, int64_t cells) {
  std::vector<int64_t> result;
  for (int pixel = 0; pixel < placement.original[axis]; ++pixel) {
    const double centre = (pixel + 0.5) * placement.scale[axis] + placement.offset[axis];
    const int64_t cell = int64_t(std::floor(centre * (double(cells) / placement.network[axis])));
    result.push_back(cell >= 0 && cell < cells ? cell : -1);
  }
  return result;
}

uint8_t byte_of(int64_t label, const Decoder& decoder) {
  if (label < 0 || label > kIgnored) throw Error("decoder " + decoder.kind + ": class " + std::to_string(label) + " is beyond 255");
  return static_cast<uint8_t>(label);
}

// The class of each cell of a map [h, w].
std::vector<uint8_t> classes_of(const Tensor& out, const Decoder& decoder, int64_t& height, int64_t& width) {
  const auto& shape = out.shape;
  const bool maps = shape.size() == 4 && shape[0] == 1, single = maps && shape[1] == 1;
  if (!(maps && (!out.integers || single)) && !(out.integers && shape.size() == 3 && shape[0] == 1))
    throw Error("decoder class-map: output " + out.name + " is " + text_of(shape) + ", which is not a map of classes");
  if (!out.integers && single && decoder.threshold < 0)
    throw Error("decoder class-map: output " + out.name + " is " + text_of(shape) + ", the scores of a single class: " +
                "give the minimum score of that class as class-map,threshold=0.5");
  height = shape[shape.size() - 2], width = shape.back();
  const int64_t plane = height * width, channels = out.integers ? 1 : shape[1];
  if (!out.integers) check_names(decoder, decoder.threshold >= 0 ? 2 : channels);
  std::vector<uint8_t> labels(static_cast<size_t>(plane));
  if (out.integers || single) {
    for (int64_t i = 0; i < plane; ++i)
      labels[i] = out.integers ? byte_of(int64_t(out.values[i]), decoder) : out.values[i] >= decoder.threshold;
    return labels;
  }
  byte_of(channels - 1, decoder);
  std::vector<float> best(out.values.begin(), out.values.begin() + plane);
  for (int64_t c = 1; c < channels; ++c) {
    const float* map = &out.values[c * plane];
    for (int64_t i = 0; i < plane; ++i)
      if (map[i] > best[i]) best[i] = map[i], labels[i] = static_cast<uint8_t>(c);
  }
  return labels;
}

// What becomes 0, and what lies between that and 1.
std::pair<float, float> range_of(const std::vector<float>& values, const Decoder& decoder) {
  if (decoder.range == "byte") return {0, 255};
  if (decoder.range == "symmetric") return {-1, 2};
  if (decoder.range != "auto" && decoder.kind == "picture") return {0, 1};
  const auto ends = std::minmax_element(values.begin(), values.end());
  return {*ends.first, *ends.second > *ends.first ? *ends.second - *ends.first : 1.f};
}

}  // namespace

Result read_scores(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  Result result = result_of("classification", {}, placement);
  result.values = row(outputs, decoder);
  check_names(decoder, int64_t(result.values.size()));
  if (decoder.logits) {
    const float most = *std::max_element(result.values.begin(), result.values.end());
    float sum = 0;
    for (float& value : result.values) sum += value = std::exp(value - most);
    for (float& value : result.values) value /= sum;
  }
  return result;
}

Result read_embedding(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  Result result = result_of("embedding", {}, placement);
  result.values = row(outputs, decoder);
  double squares = 0;
  for (const float value : result.values) squares += double(value) * value;
  const float length = float(std::max(std::sqrt(squares), 1e-12));
  for (float& value : result.values) value /= length;
  return result;
}

// [1, steps, classes]: the best class of each step, repeats merged; class 0 is the blank.
Result read_text(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& out = pick(outputs, decoder, "output", 0, 3);
  const int64_t steps = out.shape[1], classes = out.shape[2], extra = classes - 1 - int64_t(decoder.characters.size());
  if (extra != 0 && extra != 1)
    throw Error("decoder ctc: " + std::to_string(classes) + " classes, but " + std::to_string(decoder.characters.size()) + " characters");
  Result result = result_of("text", {}, placement);
  int64_t before = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const float* scores = &out.values[step * classes];
    const int64_t best = std::max_element(scores, scores + classes) - scores;
    if (best != 0 && best != before)  // one class more than characters is the space
      result.text += best - 1 < int64_t(decoder.characters.size()) ? decoder.characters[best - 1] : " ";
    before = best;
  }
  return result;
}

Result read_class_map(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  int64_t height = 0, width = 0;
  const std::vector<uint8_t> labels = classes_of(pick(outputs, decoder, "output", 0), decoder, height, width);
  const std::vector<int64_t> rows = cells_of(placement, 1, height), columns = cells_of(placement, 0, width);
  Result result = result_of("mask", {}, placement);
  result.classes.reserve(rows.size() * columns.size());
  for (const int64_t y : rows)
    for (const int64_t x : columns) result.classes.push_back(y < 0 || x < 0 ? kIgnored : labels[y * width + x]);
  return result;
}

// [1, 1 or 3, h, w], [1, h, w], or channels last.
Result read_made_picture(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& out = pick(outputs, decoder, "output", 0);
  std::vector<int64_t> shape = out.shape;
  if ((shape.size() == 3 || shape.size() == 4) && shape[0] == 1) shape.erase(shape.begin());
  if (shape.size() == 2) shape.push_back(1);
  const auto few = [](int64_t count) { return count == 1 || count == 3; };
  const bool planes = shape.size() == 3 && few(shape[0]) && !few(shape[2]);
  if (shape.size() != 3 || !few(planes ? shape[0] : shape[2]) || out.values.empty())
    throw Error("decoder " + decoder.kind + ": output " + out.name + " is " + text_of(out.shape) + ", not [1, 1 or 3, h, w]");
  const int64_t channels = planes ? shape[0] : shape[2], height = planes ? shape[1] : shape[0], width = planes ? shape[2] : shape[1];
  std::vector<float> values = out.values;
  for (float& value : values)
    if (!std::isfinite(value)) value = std::isnan(value) ? 0.f : std::copysign(3.4028235e38f, value);
  const std::pair<float, float> range = range_of(values, decoder);
  Result result = result_of("picture", {}, placement);
  result.made = Image(int(width), int(height), int(channels));
  for (int64_t i = 0; i < width * height; ++i)
    for (int64_t c = 0; c < channels; ++c) {
      const float value = (values[planes ? c * width * height + i : i * channels + c] - range.first) / range.second;
      const int64_t to = decoder.colour == "bgr" ? channels - 1 - c : c;
      result.made.pixels[i * channels + to] = uint8_t(std::nearbyint(std::min(std::max(value, 0.f), 1.f) * 255));
    }
  return result;
}

}  // namespace edgec
