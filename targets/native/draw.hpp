// Boxes on a picture, in a colour for each class.
#pragma once

#include "detections.hpp"

namespace edgec {

// "class 0.87", with the class' number where its name is not known.
// The name of a class, or its number.
std::string name_of(int label, const std::vector<std::string>& classes);

std::string label_of(const Box& box, const std::vector<std::string>& classes);

// Draws the frames; with OpenCV the labels too.
void draw(Image& image, const std::vector<Box>& boxes, const std::vector<std::string>& classes);

// Shows the picture in a window; returns whether to go on (q or Esc ends). `wait`: until a key is pressed.
bool show(const Image& image, bool wait);

}  // namespace edgec
