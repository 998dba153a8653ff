// Where pictures come from: a file, a folder, a video, or a camera.
#pragma once

#include <memory>
#include <string>

#include "image.hpp"

namespace edgec {

class Source {
 public:
  virtual ~Source() = default;
  // The next picture and the name of its file; false at the end.
  virtual bool next(Image& image, std::string& name) = 0;
};

std::unique_ptr<Source> open_source(const std::string& given);

}  // namespace edgec
