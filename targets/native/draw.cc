#include "draw.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#ifdef EDGEC_OPENCV
#include <opencv2/highgui.hpp>
#include <opencv2/imgproc.hpp>
#endif

namespace edgec {
namespace {

const uint8_t kColours[][3] = {{230, 25, 75}, {60, 180, 75}, {0, 130, 200}, {245, 130, 48}, {145, 30, 180}, {70, 240, 240}};

void fill(Image& image, int x0, int y0, int x1, int y1, const uint8_t* colour) {
  for (int y = std::max(0, y0); y <= std::min(image.height - 1, y1); ++y)
    for (int x = std::max(0, x0); x <= std::min(image.width - 1, x1); ++x) std::copy(colour, colour + 3, image.at(x, y));
}

}  // namespace

std::string name_of(int label, const std::vector<std::string>& classes) {
  return label >= 0 && label < int(classes.size()) ? classes[size_t(label)] : std::to_string(label);
}

std::string label_of(const Box& box, const std::vector<std::string>& classes) {
  char score[16];
  std::snprintf(score, sizeof score, " %.2f", double(box.score));
  return name_of(box.label, classes) + score;
}

void draw(Image& image, const std::vector<Box>& boxes, const std::vector<std::string>& classes) {
  const int thick = std::max(1, std::max(image.width, image.height) / 500);
  for (const Box& box : boxes) {
    const uint8_t* colour = kColours[std::abs(box.label) % 6];
    const int x0 = int(std::lround(box.x0)), y0 = int(std::lround(box.y0));
    const int x1 = int(std::lround(box.x1)) - 1, y1 = int(std::lround(box.y1)) - 1;  // corners lie between pixels
    fill(image, x0, y0, x1, y0 + thick - 1, colour);
    fill(image, x0, y1 - thick + 1, x1, y1, colour);
    fill(image, x0, y0, x0 + thick - 1, y1, colour);
    fill(image, x1 - thick + 1, y0, x1, y1, colour);
#ifdef EDGEC_OPENCV
    cv::Mat view(image.height, image.width, CV_8UC3, image.pixels.data());
    cv::putText(view, label_of(box, classes), {x0, std::max(12, y0 - 3)}, cv::FONT_HERSHEY_SIMPLEX, 0.4 * thick + 0.1,
                {double(colour[0]), double(colour[1]), double(colour[2])}, thick, cv::LINE_AA);
#else
    (void)classes;
#endif
  }
}

bool show(const Image& image, bool wait) {
#ifdef EDGEC_OPENCV
  cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.pixels.data())), bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  cv::imshow("edgec", bgr);
  const int key = cv::waitKey(wait ? 0 : 1);
  return key != 'q' && key != 27;
#else
  (void)image, (void)wait;
  throw Error("built without OpenCV: no window. sudo apt-get install libopencv-dev, then build again");
#endif
}

}  // namespace edgec
