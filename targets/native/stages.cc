#include "stages.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

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

void Clock::begin() {
  EDGEC_MARK_REPORT();
  EDGEC_MARK_START();
  first_ = last_ = std::chrono::steady_clock::now();
}

void Clock::passed(const char* stage) {
  EDGEC_MARK_REPORT();
  const Time now = std::chrono::steady_clock::now();
  seconds_.push_back({stage, std::chrono::duration<double>(now - last_).count()});
  last_ = now;
}

void Stages::add(const Clock& clock) {
  auto all = clock.seconds();
  all.push_back({"all", std::chrono::duration<double>(clock.last() - clock.first()).count()});
  if (seconds_.empty()) {
    first_ = clock.first();
    for (const auto& stage : all) seconds_.push_back({stage.first, {}});
  }
  for (size_t i = 0; i < all.size(); ++i) seconds_[i].second.push_back(all[i].second);
  last_ = clock.last();
}

size_t Stages::pictures() const { return seconds_.empty() ? 0 : seconds_[0].second.size(); }

double Stages::per_second() const {
  const double total = std::chrono::duration<double>(last_ - first_).count();
  return total > 0 ? double(pictures()) / total : 0;
}

std::string Stages::json() const {
  char text[96];
  std::snprintf(text, sizeof text, "{\"times\": {\"pictures\": %zu, \"per_second\": %.3f, \"ms\": {", pictures(), per_second());
  std::string result = text;
  for (const auto& stage : seconds_) {
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
  for (const auto& stage : seconds_) {
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
