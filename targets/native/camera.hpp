// A camera by Video4Linux, in JPEG frames or YUYV.
#pragma once

#include <string>
#include <vector>

#include "image.hpp"

namespace edgec {

class Camera {
 public:
  // /dev/video`number`, which is asked for 1280x720 in JPEG frames; it may give others.
  explicit Camera(int number);
  ~Camera();
  Camera(const Camera&) = delete;

  // The newest frame. Throws where the camera gives none for some seconds.
  Image next();

 private:
  struct Buffer {
    void* start;
    size_t length;
  };

  void control(unsigned long request, void* argument, const char* what);
  void choose_format();
  void map_buffers();
  void release() noexcept;

  std::string path_;
  int device_ = -1;
  int width_ = 0, height_ = 0;
  size_t stride_ = 0;
  bool jpeg_ = true, flowing_ = false;
  std::vector<Buffer> buffers_;
};

// Pixels of YUYV (BT.601, 16 to 235), two in four bytes, in rows of `stride` bytes.
Image from_yuyv(const unsigned char* bytes, int width, int height, size_t stride);

}  // namespace edgec
