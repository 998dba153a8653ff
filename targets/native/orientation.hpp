// How a picture is to be turned, as its EXIF data says: as viewers show it, and labelling tools with them.
#pragma once

#include "image.hpp"

namespace edgec {

// The EXIF orientation of a JPEG file's content, 1 to 8; 1 (as it is) where there is none.
int jpeg_orientation(const std::string& content);

// The picture turned and mirrored as that orientation says.
Image upright(Image image, int orientation);

}  // namespace edgec
