// What decoders share.
#pragma once

#include "decoder.hpp"

namespace edgec {

using Outputs = std::vector<Tensor>;
using Objects = std::vector<Object>;

// What reads the outputs of one kind.
using Reader = Result (*)(const Outputs&, const Decoder&, const Placement&);

std::string text_of(const std::vector<int64_t>& shape);

// The output that serves as `role`, or where no name was given for that, the one at `position`.
const Tensor& pick(const Outputs& outputs, const Decoder& decoder, const std::string& role, size_t position);
// The same, of one sample and of `rank` axes.
const Tensor& pick(const Outputs& outputs, const Decoder& decoder, const std::string& role, size_t position, size_t rank);

// Refuses class names that are not as many as the classes of the outputs.
void check_names(const Decoder& decoder, int64_t classes);

float sigmoid(float x);

// The best of candidates in pixels of the input, best first: of those of a class that overlap, the better one.
Objects select(Objects candidates, const Decoder& decoder, const Placement& placement);

// In pixels of the original picture; `clip`: within it.
void to_original(float& x, float& y, const Placement& placement, bool clip = true);
void to_original(Objects& objects, const Placement& placement);

Result result_of(const char* kind, Objects objects, const Placement& placement);

// Candidates of an output [1, 4 + classes + further, n]: centre, size, class probabilities and `further` values a box.
Objects by_column(const Tensor& output, const Decoder& decoder, int64_t further);

// The readers of a file each.
Result read_boxes(const Outputs&, const Decoder&, const Placement&);  // all kinds of plain boxes
Result read_instances(const Outputs&, const Decoder&, const Placement&);
Result read_keypoints(const Outputs&, const Decoder&, const Placement&);
Result read_rotated(const Outputs&, const Decoder&, const Placement&);
Result read_regions(const Outputs&, const Decoder&, const Placement&);
Result read_scores(const Outputs&, const Decoder&, const Placement&);
Result read_embedding(const Outputs&, const Decoder&, const Placement&);
Result read_text(const Outputs&, const Decoder&, const Placement&);
Result read_class_map(const Outputs&, const Decoder&, const Placement&);
Result read_made_picture(const Outputs&, const Decoder&, const Placement&);

}  // namespace edgec
