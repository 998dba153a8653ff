// Pictures brought to another size, row by row.
#pragma once

#include <functional>

#include "image.hpp"

namespace edgec {

// Calls `take` with each row, from `first` up to but without `last`, of `image` brought to `width` x `height`; the row is
// `width` pixels of the image's channels. The values are those of `resize`.
void resize_rows(const Image& image, int width, int height, int first, int last,
                 const std::function<void(int, const uint8_t*)>& take);

}  // namespace edgec
