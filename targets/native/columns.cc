// YOLOv8 and its successors with masks, key points or angles: a column for each box, with more behind its classes.
#include <algorithm>
#include <cmath>

#include "decoding.hpp"

namespace edgec {
namespace {

// The values behind the classes of the box in `row`.
std::vector<float> behind(const Tensor& out, int row, int64_t further) {
  const int64_t count = out.shape[2], first = out.shape[1] - further;
  std::vector<float> values;
  for (int64_t k = 0; k < further; ++k) values.push_back(out.values[(first + k) * count + row]);
  return values;
}

// The cells on both sides of a pixel's centre, and how far it is from the first, 0..1.
struct Between {
  int64_t first, second;
  float share;
};

std::vector<Between> between(int begin, int end, int axis, int64_t cells, const Placement& placement) {
  std::vector<Between> result;
  for (int pixel = begin; pixel < end; ++pixel) {
    double at = ((pixel + 0.5) * placement.scale[axis] + placement.offset[axis]) * (double(cells) / placement.network[axis]) - 0.5;
    at = std::min(std::max(at, 0.0), double(cells - 1));
    const int64_t first = int64_t(std::floor(at));
    result.push_back({first, std::min(first + 1, cells - 1), float(at - double(first))});
  }
  return result;
}

// Where the sum of the prototypes [masks, h, w], weighted by the coefficients, is positive within the box.
Patch patch(const Tensor& prototypes, const std::vector<float>& coefficients, const Object& box, const Placement& placement) {
  const auto whole = [](float side) { return int(std::floor(side + 0.5f)); };  // pixels whose centre lies in the box
  const int64_t height = prototypes.shape[2], width = prototypes.shape[3];
  const std::vector<Between> across = between(whole(box.x0), whole(box.x1), 0, width, placement);
  const std::vector<Between> down = between(whole(box.y0), whole(box.y1), 1, height, placement);
  Patch result{whole(box.x0), whole(box.y0), int(across.size()), int(down.size()), {}};
  if (across.empty() || down.empty()) return result;
  const int64_t left = across.front().first, right = across.back().second, top = down.front().first, bottom = down.back().second;
  const int64_t wide = right - left + 1;
  std::vector<float> logits(size_t(wide * (bottom - top + 1)), 0);
  for (size_t k = 0; k < coefficients.size(); ++k)
    for (int64_t y = top; y <= bottom; ++y) {
      const float* row = &prototypes.values[(k * height + y) * width + left];
      float* sum = &logits[(y - top) * wide];
      for (int64_t x = 0; x < wide; ++x) sum[x] += coefficients[k] * row[x];
    }
  result.pixels.reserve(across.size() * down.size());
  std::vector<float> line(static_cast<size_t>(wide));
  for (const Between& y : down) {
    const float *one = &logits[(y.first - top) * wide], *other = &logits[(y.second - top) * wide];
    for (int64_t x = 0; x < wide; ++x) line[x] = one[x] * (1 - y.share) + other[x] * y.share;
    for (const Between& x : across)
      result.pixels.push_back(line[x.first - left] * (1 - x.share) + line[x.second - left] * x.share > 0);
  }
  return result;
}

// The covariance (xx, yy, xy) of a uniform distribution over a box that is turned by `angle`.
struct Moments {
  double a, b, c;
};

struct Turned {
  Object box;
  float x, y, w, h, angle;
  Moments moments;
};

Moments moments(float w, float h, float angle) {
  const double wide = double(w) * w / 12, high = double(h) * h / 12, cosine = std::cos(double(angle)), sine = std::sin(double(angle));
  return {wide * cosine * cosine + high * sine * sine, wide * sine * sine + high * cosine * cosine, (wide - high) * cosine * sine};
}

// One minus the Hellinger distance, see Python's yolov8_obb.py.
double similarity(const Turned& one, const Turned& other) {
  constexpr double kTiny = 1e-7;
  const double a = one.moments.a + other.moments.a, b = one.moments.b + other.moments.b, c = one.moments.c + other.moments.c;
  const double x = double(one.x) - other.x, y = double(one.y) - other.y, area = a * b - c * c;
  const double distance = (a * y * y + b * x * x - 2 * c * x * y) / (area + kTiny) / 4;
  const auto own = [](const Moments& m) { return std::max(m.a * m.b - m.c * m.c, 0.0); };
  const double spread = std::log(area / (4 * std::sqrt(own(one.moments) * own(other.moments)) + kTiny) + kTiny) / 2;
  const double bhattacharyya = std::min(std::max(distance + spread, kTiny), 100.0);
  return 1 - std::sqrt(1 - std::exp(-bhattacharyya) + kTiny);
}

// In circular order, x and y of each, in pixels of the original picture.
std::vector<float> corners(const Turned& t, const Placement& placement) {
  const float cosine = std::cos(t.angle), sine = std::sin(t.angle);
  const float along[2] = {cosine * t.w / 2, sine * t.w / 2}, across[2] = {-sine * t.h / 2, cosine * t.h / 2};
  std::vector<float> result;
  for (const auto& sign : {std::pair<int, int>{-1, -1}, {1, -1}, {1, 1}, {-1, 1}}) {
    float x = t.x + sign.first * along[0] + sign.second * across[0], y = t.y + sign.first * along[1] + sign.second * across[1];
    to_original(x, y, placement, false);
    result.insert(result.end(), {x, y});
  }
  return result;
}

void put_upright_box(Object& box, const Placement& placement) {
  const auto clipped = [](float value, int limit) { return std::min(std::max(value, 0.f), float(limit)); };
  const std::vector<float>& p = box.points;
  box.x0 = clipped(std::min({p[0], p[2], p[4], p[6]}), placement.original[0]);
  box.x1 = clipped(std::max({p[0], p[2], p[4], p[6]}), placement.original[0]);
  box.y0 = clipped(std::min({p[1], p[3], p[5], p[7]}), placement.original[1]);
  box.y1 = clipped(std::max({p[1], p[3], p[5], p[7]}), placement.original[1]);
}

}  // namespace

Result read_instances(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& prototypes = pick(outputs, decoder, "prototypes", 1, 4);
  if (prototypes.shape[1] != decoder.masks)
    throw Error("decoder yolov8-seg: " + std::to_string(prototypes.shape[1]) + " prototypes, but masks=" +
                std::to_string(decoder.masks));
  const Tensor& out = pick(outputs, decoder, "output", 0, 3);
  Objects objects = select(by_column(out, decoder, decoder.masks), decoder, placement);
  to_original(objects, placement);
  for (Object& each : objects) each.patch = patch(prototypes, behind(out, each.row, decoder.masks), each, placement);
  return result_of("instances", std::move(objects), placement);
}

Result read_keypoints(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const int64_t further = int64_t(decoder.points) * decoder.values;
  const Tensor& out = pick(outputs, decoder, "output", 0, 3);
  Objects objects = select(by_column(out, decoder, further), decoder, placement);
  to_original(objects, placement);
  for (Object& each : objects) {
    const std::vector<float> values = behind(out, each.row, further);
    for (int k = 0; k < decoder.points; ++k) {
      const float* point = &values[size_t(k) * decoder.values];
      float x = point[0], y = point[1];
      to_original(x, y, placement);
      each.points.insert(each.points.end(), {x, y, decoder.values == 3 ? point[2] : 1.f});
    }
  }
  return result_of("keypoints", std::move(objects), placement);
}

Result read_rotated(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& out = pick(outputs, decoder, "output", 0, 3);
  std::vector<Turned> all;
  for (const Object& box : by_column(out, decoder, 1)) {
    const float x = (box.x0 + box.x1) / 2, y = (box.y0 + box.y1) / 2, w = box.x1 - box.x0, h = box.y1 - box.y0;
    const float angle = behind(out, box.row, 1)[0];
    if (std::isfinite(x + y) && std::isfinite(w + h) && std::isfinite(angle))
      all.push_back({box, x, y, w, h, angle, moments(w, h, angle)});
  }
  std::stable_sort(all.begin(), all.end(), [](const Turned& a, const Turned& b) { return a.box.score > b.box.score; });
  std::vector<Turned> kept;
  for (const Turned& each : all) {
    if (int(kept.size()) == decoder.max_detections) break;
    const bool rival = decoder.max_overlap < 1 && std::any_of(kept.begin(), kept.end(), [&](const Turned& better) {
                         return better.box.label == each.box.label && similarity(better, each) > decoder.max_overlap;
                       });
    if (!rival) kept.push_back(each);
  }
  Objects objects;
  for (Turned& each : kept) {
    each.box.points = corners(each, placement);
    put_upright_box(each.box, placement);
    objects.push_back(each.box);
  }
  return result_of("rotated", std::move(objects), placement);
}

}  // namespace edgec
