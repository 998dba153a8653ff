// A recorded video: JPEG frames in an AVI file, as cameras and recorders write it (motion JPEG).
#pragma once

#include <fstream>
#include <string>

#include "image.hpp"

namespace edgec {

class Video {
 public:
  explicit Video(const std::string& path);

  // The next frame; false at the end.
  bool next(Image& image);

 private:
  bool read_head(char* name, uint32_t& size);
  void skip(uint32_t size);

  std::string path_;
  std::ifstream file_;
  int64_t size_ = 0;
  int frames_ = 0;
};

}  // namespace edgec
