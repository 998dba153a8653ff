// How long each step from a picture to its result took, over many pictures.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace edgec {

class Stages {
 public:
  // A picture begins.
  void begin();
  // The stage that ends now began where the one before ended.
  void passed(const char* stage);

  // The line that `edgec run --times` prints, with --json and without. Pictures a second are those that the stages
  // together would allow, one picture after the other.
  std::string json() const;
  std::string text() const;

 private:
  std::vector<std::pair<std::string, std::vector<double>>> seconds_;  // by stage; a picture that was not ended counts not
  std::chrono::steady_clock::time_point last_;

  size_t pictures() const;
  std::vector<std::pair<std::string, std::vector<double>>> with_all() const;
  double per_second() const;
};

}  // namespace edgec
