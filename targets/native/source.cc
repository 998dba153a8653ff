#include "source.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>

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
  if (paths.empty()) throw Error(folder + " holds no pictures");
  std::sort(paths.begin(), paths.end());
  return paths;
}

#ifdef EDGEC_OPENCV
class Camera : public Source {
 public:
  explicit Camera(int index) : capture_(index) {
    if (!capture_.isOpened()) throw Error("camera " + std::to_string(index) + " cannot be opened: is it there, is it free?");
  }
  bool next(Image& image, std::string& name) override {
    cv::Mat bgr;
    if (!capture_.read(bgr)) return false;
    image = Image(bgr.cols, bgr.rows, 3);
    cv::Mat rgb(bgr.rows, bgr.cols, CV_8UC3, image.pixels.data());
    cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
    name = "frame" + std::to_string(++frames_);
    return true;
  }

 private:
  cv::VideoCapture capture_;
  int frames_ = 0;
};
#endif

}  // namespace

std::unique_ptr<Source> open_source(const std::string& given) {
  if (given.compare(0, 7, "camera:") == 0) {
#ifdef EDGEC_OPENCV
    return std::unique_ptr<Source>(new Camera(std::atoi(given.c_str() + 7)));
#else
    throw Error("built without OpenCV: no camera. sudo apt-get install libopencv-dev, then build again");
#endif
  }
  struct stat info;
  if (stat(given.c_str(), &info) != 0) throw Error(given + ": no such picture or folder");
  const bool folder = S_ISDIR(info.st_mode);
  return std::unique_ptr<Source>(new Files(folder ? pictures_in(given) : std::vector<std::string>{given}));
}

}  // namespace edgec
