// DBNet: the upright boxes around lines of text; see Python's dbnet.py and regions.py.
#include <algorithm>
#include <array>
#include <cmath>

#include "decoding.hpp"

namespace edgec {
namespace {

constexpr double kMinSide = 3, kMinGrownSide = 5;  // of a region's rectangle, in cells of the map; after it grew

using Point = std::array<double, 2>;
using Rectangle = std::array<Point, 4>;

// Neighbouring cells of a row: from `begin` up to `end`, which is the last one.
struct Run {
  int64_t row, begin, end;
  size_t parent;
};

size_t root(std::vector<Run>& runs, size_t at) {
  while (runs[at].parent != at) at = runs[at].parent = runs[runs[at].parent].parent;
  return at;
}

// The ends of the runs of each 8-connected region, upper regions first.
std::vector<std::vector<Point>> regions(const float* map, int64_t height, int64_t width, float threshold) {
  std::vector<Run> runs;
  size_t above = 0;  // the first run of the row before
  for (int64_t y = 0; y < height; ++y) {
    const size_t here = runs.size();
    for (int64_t x = 0; x < width; ++x) {
      if (!(map[y * width + x] > threshold)) continue;
      const int64_t begin = x;
      while (x + 1 < width && map[y * width + x + 1] > threshold) ++x;
      runs.push_back({y, begin, x, runs.size()});
    }
    for (size_t i = above, j = here; i < here && j < runs.size();) {
      if (runs[i].begin <= runs[j].end + 1 && runs[j].begin <= runs[i].end + 1) {
        const size_t a = root(runs, i), b = root(runs, j);
        runs[std::max(a, b)].parent = std::min(a, b);
      }
      runs[i].end < runs[j].end ? ++i : ++j;
    }
    above = here;
  }
  std::map<size_t, std::vector<Point>> members;
  for (size_t i = 0; i < runs.size(); ++i)
    for (const int64_t x : {runs[i].begin, runs[i].end}) members[root(runs, i)].push_back({double(x), double(runs[i].row)});
  std::vector<std::vector<Point>> result;
  for (auto& entry : members) result.push_back(std::move(entry.second));
  return result;
}

void chain(const std::vector<Point>& ordered, std::vector<Point>& hull) {
  std::vector<Point> result;
  for (const Point& p : ordered) {
    while (result.size() > 1) {
      const Point &a = result[result.size() - 2], &b = result.back();
      if ((b[0] - a[0]) * (p[1] - a[1]) > (b[1] - a[1]) * (p[0] - a[0])) break;
      result.pop_back();
    }
    result.push_back(p);
  }
  hull.insert(hull.end(), result.begin(), result.end() - 1);
}

// Andrew's monotone chain.
std::vector<Point> hull(std::vector<Point> points) {
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (points.size() < 3) return points;
  std::vector<Point> result;
  chain(points, result);
  chain({points.rbegin(), points.rend()}, result);
  return result;
}

// One of its sides lies along a side of the polygon (Freeman and Shapira, 1975).
Rectangle smallest_rectangle(const std::vector<Point>& polygon) {
  std::vector<Point> directions;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
    const double x = b[0] - a[0], y = b[1] - a[1], length = std::sqrt(x * x + y * y);
    if (length > 0) directions.push_back({x / length, y / length});
  }
  if (directions.empty()) directions.push_back({1, 0});
  double smallest = -1;
  Rectangle best{};
  for (const Point& u : directions) {
    const Point v = {-u[1], u[0]};
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (const Point& p : polygon) {
      const double at[2] = {p[0] * u[0] + p[1] * u[1], p[0] * v[0] + p[1] * v[1]};
      for (int k = 0; k < 2; ++k) low[k] = std::min(low[k], at[k]), high[k] = std::max(high[k], at[k]);
    }
    const double area = (high[0] - low[0]) * (high[1] - low[1]);
    if (smallest >= 0 && area >= smallest) continue;
    smallest = area;
    const Point ends[4] = {{low[0], low[1]}, {high[0], low[1]}, {high[0], high[1]}, {low[0], high[1]}};
    for (int k = 0; k < 4; ++k) best[k] = {ends[k][0] * u[0] + ends[k][1] * v[0], ends[k][0] * u[1] + ends[k][1] * v[1]};
  }
  return best;
}

double distance(const Point& a, const Point& b) {
  return std::sqrt((b[0] - a[0]) * (b[0] - a[0]) + (b[1] - a[1]) * (b[1] - a[1]));
}

// The mean over the cells whose centre lies in the rectangle, border included.
double mean_within(const float* map, int64_t height, int64_t width, const Rectangle& corners) {
  int64_t low[2], high[2];
  const int64_t limit[2] = {width - 1, height - 1};
  for (int axis = 0; axis < 2; ++axis) {
    double least = corners[0][axis], most = least;
    for (const Point& p : corners) least = std::min(least, p[axis]), most = std::max(most, p[axis]);
    low[axis] = std::min(std::max<int64_t>(int64_t(std::floor(least)), 0), limit[axis]);
    high[axis] = std::min(std::max<int64_t>(int64_t(std::ceil(most)), 0), limit[axis]);
  }
  double sum = 0;
  int64_t count = 0;
  for (int64_t y = low[1]; y <= high[1]; ++y)
    for (int64_t x = low[0]; x <= high[0]; ++x) {
      const double px = double(x) - corners[0][0], py = double(y) - corners[0][1];
      bool inside = true;
      for (const Point& end : {corners[1], corners[3]}) {
        const double sx = end[0] - corners[0][0], sy = end[1] - corners[0][1];
        const double share = (px * sx + py * sy) / (sx * sx + sy * sy);
        inside = inside && share > -1e-6 && share < 1 + 1e-6;
      }
      if (inside) sum += map[y * width + x], ++count;
    }
  return sum / double(count);
}

// Every side moves outwards by `growth`.
Rectangle grown(const Rectangle& c, double growth) {
  Point along, across;
  const double wide = distance(c[0], c[1]), high = distance(c[0], c[3]);
  for (int k = 0; k < 2; ++k) along[k] = (c[1][k] - c[0][k]) / wide * growth, across[k] = (c[3][k] - c[0][k]) / high * growth;
  Rectangle result = c;
  const int signs[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 2; ++k) result[i][k] += signs[i][0] * along[k] + signs[i][1] * across[k];
  return result;
}

}  // namespace

Result read_regions(const Outputs& outputs, const Decoder& decoder, const Placement& placement) {
  const Tensor& out = pick(outputs, decoder, "output", 0, 4);
  if (out.shape[1] != 1) throw Error("decoder dbnet: output " + out.name + " is " + text_of(out.shape) + ", not [1, 1, h, w]");
  const int64_t height = out.shape[2], width = out.shape[3];
  const float pixel_x = float(double(placement.network[0]) / double(width)), pixel_y = float(double(placement.network[1]) / double(height));
  Objects boxes;
  for (const std::vector<Point>& region : regions(out.values.data(), height, width, decoder.threshold)) {
    const Rectangle corners = smallest_rectangle(hull(region));
    const double w = distance(corners[0], corners[1]), h = distance(corners[1], corners[2]);
    if (std::min(w, h) < kMinSide) continue;
    const double score = mean_within(out.values.data(), height, width, corners);
    const double growth = w * h * double(decoder.unclip_ratio) / (2 * (w + h));
    if (score < double(decoder.min_score) || std::min(w, h) + 2 * growth < kMinGrownSide) continue;
    const Rectangle c = grown(corners, growth);
    const auto least = [&](int k) { return float(std::min({c[0][k], c[1][k], c[2][k], c[3][k]})); };
    const auto most = [&](int k) { return float(std::max({c[0][k], c[1][k], c[2][k], c[3][k]})); };
    boxes.push_back({least(0) * pixel_x, least(1) * pixel_y, most(0) * pixel_x, most(1) * pixel_y, float(score), 0});
  }
  boxes = select(std::move(boxes), decoder, placement);
  to_original(boxes, placement);
  return result_of("detections", std::move(boxes), placement);
}

}  // namespace edgec
