#include "stages.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "mark.hpp"

namespace edgec {
namespace {

const std::pair<const char*, double> kQuantiles[] = {{"median", 0.5}, {"p90", 0.9}, {"p99", 0.99}};

// The smallest value that this share of all values does not exceed, in ms.
double quantile(std::vector<double> seconds, double share) {
  if (seconds.empty()) return 0;
  std::sort(seconds.begin(), seconds.end());
  const size_t count = seconds.size(), at = size_t(std::ceil(share * double(count) - 1e-9));
  return 1e3 * seconds[std::min(std::max<size_t>(at, 1), count) - 1];
}

}  // namespace

void Stages::begin() {
  EDGEC_MARK_REPORT();
  EDGEC_MARK_START();
  last_ = std::chrono::steady_clock::now();
}

void Stages::passed(const char* stage) {
  EDGEC_MARK_REPORT();
  const auto now = std::chrono::steady_clock::now();
  auto place = std::find_if(seconds_.begin(), seconds_.end(), [&](const auto& entry) { return entry.first == stage; });
  if (place == seconds_.end()) place = seconds_.insert(place, {stage, {}});
  place->second.push_back(std::chrono::duration<double>(now - last_).count());
  last_ = std::chrono::steady_clock::now();
}

size_t Stages::pictures() const { return seconds_.empty() ? 0 : seconds_.back().second.size(); }

std::vector<std::pair<std::string, std::vector<double>>> Stages::with_all() const {
  auto result = seconds_;
  std::vector<double> sums(pictures(), 0);
  for (auto& stage : result) {
    stage.second.resize(pictures());
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += stage.second[i];
  }
  result.push_back({"all", sums});
  return result;
}

double Stages::per_second() const {
  const std::vector<double> sums = with_all().back().second;
  const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
  return total > 0 ? double(sums.size()) / total : 0;
}

std::string Stages::json() const {
  char text[96];
  std::snprintf(text, sizeof text, "{\"times\": {\"pictures\": %zu, \"per_second\": %.3f, \"ms\": {", pictures(), per_second());
  std::string result = text;
  for (const auto& stage : with_all()) {
    result += (result.back() == '{' ? "\"" : ", \"") + stage.first + "\": {";
    for (const auto& each : kQuantiles) {
      std::snprintf(text, sizeof text, "%s\"%s\": %.4f", result.back() == '{' ? "" : ", ", each.first, quantile(stage.second, each.second));
      result += text;
    }
    result += "}";
  }
  return result + "}}}\n";
}

std::string Stages::text() const {
  char text[96];
  std::snprintf(text, sizeof text, "%-11s%8s  %8s  %8s\n", "ms", kQuantiles[0].first, kQuantiles[1].first, kQuantiles[2].first);
  std::string result = text;
  for (const auto& stage : with_all()) {
    std::snprintf(text, sizeof text, "%-11s", stage.first.c_str());
    result += text;
    for (const auto& each : kQuantiles) {
      std::snprintf(text, sizeof text, "%s%8.2f", each.second > 0.5 ? "  " : "", quantile(stage.second, each.second));
      result += text;
    }
    result += "\n";
  }
  std::snprintf(text, sizeof text, "%zu pictures, %.1f per second\n", pictures(), per_second());
  return result + text;
}

}  // namespace edgec
