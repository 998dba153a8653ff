#include "source.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "camera.hpp"
#include "video.hpp"

#ifdef EDGEC_OPENCV
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#endif

namespace edgec {
namespace {

const std::set<std::string> kSuffixes = {".jpg", ".jpeg", ".png"};

std::string suffix_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  std::string suffix = dot == std::string::npos ? "" : path.substr(dot);
  std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char c) { return std::tolower(c); });
  return suffix;
}

class Files : public Source {
 public:
  explicit Files(std::vector<std::string> paths) : paths_(std::move(paths)) {}
  bool next(Image& image, std::string& name) override {
    if (done_ == paths_.size()) return false;
    name = paths_[done_].substr(paths_[done_].rfind('/') + 1);
    image = read_image(paths_[done_++]);
    return true;
  }

 private:
  std::vector<std::string> paths_;
  size_t done_ = 0;
};

std::vector<std::string> pictures_in(const std::string& folder) {
  std::vector<std::string> paths;
  DIR* opened = opendir(folder.c_str());
  if (!opened) throw Error("cannot read the folder " + folder);
  while (const dirent* entry = readdir(opened))
    if (entry->d_name[0] != '.' && kSuffixes.count(suffix_of(entry->d_name))) paths.push_back(folder + "/" + entry->d_name);
  closedir(opened);
  if (paths.empty()) throw Error("folder " + folder + " contains no pictures (.jpg .jpeg .png)");
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string frame_name(int number) {
  char name[24];
  std::snprintf(name, sizeof name, "frame%06d", number);
  return name;
}

class Frames : public Source {
 public:
  bool next(Image& image, std::string& name) override {
    if (!take(image)) return false;
    name = frame_name(++number_);
    return true;
  }

 private:
  virtual bool take(Image& image) = 0;
  int number_ = 0;
};

class Live : public Frames {
 public:
  explicit Live(int number) : camera_(number) {}

 private:
  bool take(Image& image) override {
    image = camera_.next();
    return true;
  }
  Camera camera_;
};

class Recorded : public Frames {
 public:
  explicit Recorded(const std::string& path) : video_(path) {}

 private:
  bool take(Image& image) override { return video_.next(image); }
  Video video_;
};

#ifdef EDGEC_OPENCV
// A camera or a video by OpenCV, which knows more of them.
class Capture : public Frames {
 public:
  Capture(cv::VideoCapture capture, const std::string& given, bool endless)
      : capture_(std::move(capture)), given_(given), endless_(endless) {
    if (!capture_.isOpened()) throw Error(given + " cannot be opened: check that it exists and that no other program uses it");
  }

 private:
  bool take(Image& image) override {
    cv::Mat bgr;
    if (!capture_.read(bgr)) {
      if (endless_) throw Error(given_ + " stopped delivering pictures: check its cable");
      return false;
    }
    image = Image(bgr.cols, bgr.rows, 3);
    cv::Mat rgb(bgr.rows, bgr.cols, CV_8UC3, image.pixels.data());
    cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
    return true;
  }

  cv::VideoCapture capture_;
  std::string given_;
  bool endless_;
};
#endif

int camera_number(const std::string& given) {
  const std::string digits = given.substr(given.find(':') + 1);
  if (digits.empty() || digits.size() > 4 || digits.find_first_not_of("0123456789") != std::string::npos)
    throw Error(given + ": a camera is named by its number, camera:0 is /dev/video0");
  return std::atoi(digits.c_str());
}

}  // namespace

std::unique_ptr<Source> open_source(const std::string& given) {
  const std::set<std::string> videos = {".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mjpeg"};
  if (given.compare(0, 7, "camera:") == 0) {
    const int number = camera_number(given);
#ifdef EDGEC_OPENCV
    return std::unique_ptr<Source>(new Capture(cv::VideoCapture(number), given, true));
#else
    return std::unique_ptr<Source>(new Live(number));
#endif
  }
  struct stat info;
  if (stat(given.c_str(), &info) != 0)
    throw Error(given + ": no such file or folder; give a picture, a folder of pictures, a video, or camera:0");
  if (videos.count(suffix_of(given))) {
#ifdef EDGEC_OPENCV
    return std::unique_ptr<Source>(new Capture(cv::VideoCapture(given), given, false));
#else
    return std::unique_ptr<Source>(new Recorded(given));
#endif
  }
  const bool folder = S_ISDIR(info.st_mode);
  return std::unique_ptr<Source>(new Files(folder ? pictures_in(given) : std::vector<std::string>{given}));
}

}  // namespace edgec
