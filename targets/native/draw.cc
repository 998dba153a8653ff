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

const uint8_t* colour_of(int label) { return kColours[std::abs(label) % 6]; }

int thickness(const Image& image) { return std::max(1, std::max(image.width, image.height) / 500); }

void blend(uint8_t* pixel, const uint8_t* colour, float opacity) {
  for (int c = 0; c < 3; ++c) pixel[c] = uint8_t(std::lround((1 - opacity) * pixel[c] + opacity * colour[c]));
}

void frame(Image& image, const Object& box, const uint8_t* colour) {
  const int thick = thickness(image);
  const int x0 = int(std::lround(box.x0)), y0 = int(std::lround(box.y0));
  const int x1 = int(std::lround(box.x1)) - 1, y1 = int(std::lround(box.y1)) - 1;  // corners lie between pixels
  fill(image, x0, y0, x1, y0 + thick - 1, colour);
  fill(image, x0, y1 - thick + 1, x1, y1, colour);
  fill(image, x0, y0, x0 + thick - 1, y1, colour);
  fill(image, x1 - thick + 1, y0, x1, y1, colour);
}

void dot(Image& image, float x, float y, int radius, const uint8_t* colour) {
  const int cx = int(std::lround(x)), cy = int(std::lround(y));
  fill(image, cx - radius, cy - radius, cx + radius, cy + radius, colour);
}

void line(Image& image, const float* from, const float* to, const uint8_t* colour) {
  const float longest = std::max(std::fabs(to[0] - from[0]), std::fabs(to[1] - from[1]));
  const int steps = std::max(1, int(std::min(longest, 1e5f)));
  for (int i = 0; i <= steps; ++i) {
    const float share = float(i) / float(steps);
    dot(image, from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1]), thickness(image) / 2, colour);
  }
}

void patch(Image& image, const Patch& patch, const uint8_t* colour) {
  for (int y = std::max(0, -patch.y); y < patch.height && patch.y + y < image.height; ++y)
    for (int x = std::max(0, -patch.x); x < patch.width && patch.x + x < image.width; ++x)
      if (patch.pixels[size_t(y) * patch.width + x]) blend(image.at(patch.x + x, patch.y + y), colour, 0.45f);
}

void caption(Image& image, int x, int y, const std::string& text, const uint8_t* colour) {
#ifdef EDGEC_OPENCV
  const int thick = thickness(image);
  cv::Mat view(image.height, image.width, CV_8UC3, image.pixels.data());
  cv::putText(view, text, {x, std::max(12, y - 3)}, cv::FONT_HERSHEY_SIMPLEX, 0.4 * thick + 0.1,
              {double(colour[0]), double(colour[1]), double(colour[2])}, thick, cv::LINE_AA);
#else
  (void)image, (void)x, (void)y, (void)text, (void)colour;
#endif
}

std::string with_score(const std::string& name, float score) {
  char text[16];
  std::snprintf(text, sizeof text, " %.2f", double(score));
  return name + text;
}

void object(Image& image, const Object& each, const Result& result, const std::vector<std::string>& classes) {
  constexpr float kSeen = 0.5f;  // probability from which a key point is drawn
  const uint8_t* colour = colour_of(each.label);
  if (result.kind == "rotated") {
    for (size_t corner = 0; corner < 4; ++corner)
      line(image, &each.points[2 * corner], &each.points[2 * ((corner + 1) % 4)], colour);
  } else {
    patch(image, each.patch, colour);
    frame(image, each, colour);
    for (size_t k = 0; k + 2 < each.points.size(); k += 3)
      if (each.points[k + 2] >= kSeen) dot(image, each.points[k], each.points[k + 1], thickness(image), colour_of(int(k / 3)));
  }
  caption(image, int(each.x0), int(each.y0), with_score(name_of(each.label, classes), each.score), colour);
}

// The made picture in RGB; one that is not larger is brought to the size of the original.
Image made(const Image& image, const Image& picture) {
  Image rgb(picture.width, picture.height, 3);
  for (size_t i = 0; i < rgb.pixels.size(); ++i) rgb.pixels[i] = picture.pixels[picture.channels == 3 ? i : i / 3];
  const bool larger = rgb.width > image.width && rgb.height > image.height;
  return larger ? rgb : resize(rgb, image.width, image.height);
}

}  // namespace

void draw(Image& image, const Result& result, const std::vector<std::string>& classes) {
  if (result.kind == "picture") image = made(image, result.made);
  if (result.kind == "text") caption(image, 0, 0, result.text, kColours[0]);
  if (result.kind == "classification") {
    const int best = int(std::max_element(result.values.begin(), result.values.end()) - result.values.begin());
    caption(image, 0, 0, with_score(name_of(best, classes), result.values[size_t(best)]), colour_of(best));
  }
  for (size_t i = 0; i < result.classes.size(); ++i)
    if (result.classes[i] != kIgnored) blend(&image.pixels[3 * i], colour_of(result.classes[i]), 0.5f);
  for (size_t i = result.objects.size(); i-- > 0;) object(image, result.objects[i], result, classes);  // the best lie on top
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
  throw Error("--show needs OpenCV, without which this program was built: sudo apt-get install libopencv-dev, then build again");
#endif
}

}  // namespace edgec
