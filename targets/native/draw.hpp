// A result on its picture, in a colour for each class.
#pragma once

#include "result.hpp"

namespace edgec {

// Draws what the network says; with OpenCV the names too. A picture that the network made takes the other's place.
void draw(Image& image, const Result& result, const std::vector<std::string>& classes);

// Shows the picture in a window; returns whether to go on (q or Esc ends). `wait`: until a key is pressed.
bool show(const Image& image, bool wait);

}  // namespace edgec
