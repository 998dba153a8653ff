// What a network says of one picture, as `edgec run` gives it.
#pragma once

#include <string>
#include <vector>

#include "image.hpp"

namespace edgec {

// Where an object is within its box: bytes 0 or 1, row by row, from the pixel x, y of the picture on.
struct Patch {
  int x = 0, y = 0, width = 0, height = 0;
  std::vector<uint8_t> pixels;
};

// Corners in pixels.
struct Object {
  float x0, y0, x1, y1, score;
  int label;
  int row = 0;                     // of the output it comes from
  std::vector<float> points = {};  // keypoints: x, y, probability of each; rotated: x, y of the four corners
  Patch patch = {};                // instances
};

struct Result {
  std::string kind;  // detections, instances, keypoints, rotated, classification, text, mask, picture, embedding
  int width = 0, height = 0;         // of the picture
  std::vector<Object> objects;       // of the first four kinds, best first
  std::vector<float> values;         // classification: the score of each class; embedding: the vector
  std::vector<uint8_t> classes;      // mask: of each pixel, row by row; kIgnored where the network does not see it
  std::string text;
  Image made;                        // picture
};

constexpr uint8_t kIgnored = 255;

// The name of a class, or its number.
std::string name_of(int label, const std::vector<std::string>& classes);

// One line of text for each object, or one in all; and the line of JSON that `edgec run --json` prints.
std::string text_of(const std::string& picture, const Result& result, const std::vector<std::string>& classes);
std::string json_of(const std::string& picture, const Result& result, const std::vector<std::string>& classes);

// `text` as a string of JSON.
std::string quoted(const std::string& text);

}  // namespace edgec
