// How long each step from a picture to its result took, over many pictures.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace edgec {

// The steps of one picture. Between two of them it may wait.
class Clock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // A picture begins, and so does its first stage.
  void begin();
  // A further stage begins.
  void resume() { last_ = std::chrono::steady_clock::now(); }
  // The stage that ends now began where `begin` or `resume` was called.
  void passed(const char* stage);

  const std::vector<std::pair<const char*, double>>& seconds() const { return seconds_; }
  Time first() const { return first_; }
  Time last() const { return last_; }

 private:
  std::vector<std::pair<const char*, double>> seconds_;
  Time first_, last_;
};

class Stages {
 public:
  // A picture that has passed all stages.
  void add(const Clock& clock);

  // The line that `edgec run --times` prints, with --json and without. `all` is from the beginning of a picture to the
  // end of its last stage, waiting included; pictures a second are all pictures by the time from the first to the last.
  std::string json() const;
  std::string text() const;

 private:
  std::vector<std::pair<std::string, std::vector<double>>> seconds_;  // by stage, and of all together
  Clock::Time first_, last_;

  size_t pictures() const;
  double per_second() const;
};

}  // namespace edgec
