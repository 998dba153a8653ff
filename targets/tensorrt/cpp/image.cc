// Files of pictures: by OpenCV where it was found, else by stb_image.
#include "image.hpp"

#ifdef EDGEC_OPENCV
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#else
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image.h>
#include <stb_image_write.h>
#endif

namespace edgec {

#ifdef EDGEC_OPENCV

Image read_image(const std::string& path) {
  cv::Mat bgr = cv::imread(path, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  if (bgr.empty()) throw Error(path + ": no picture that OpenCV can read");
  Image image(bgr.cols, bgr.rows, 3);
  cv::Mat rgb(bgr.rows, bgr.cols, CV_8UC3, image.pixels.data());
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return image;
}

void write_image(const std::string& path, const Image& image) {
  cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.pixels.data())), bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  if (!cv::imwrite(path, bgr)) throw Error("cannot write " + path);
}

#else

Image read_image(const std::string& path) {
  int width = 0, height = 0, channels = 0;
  stbi_uc* pixels = stbi_load(path.c_str(), &width, &height, &channels, 3);
  if (!pixels) throw Error(path + ": " + stbi_failure_reason());
  Image image(width, height, 3);
  image.pixels.assign(pixels, pixels + image.pixels.size());
  stbi_image_free(pixels);
  return image;
}

void write_image(const std::string& path, const Image& image) {
  if (!stbi_write_png(path.c_str(), image.width, image.height, image.channels, image.pixels.data(), 0))
    throw Error("cannot write " + path);
}

#endif

}  // namespace edgec
