// Files of pictures by stb_image, for programs that find no library on their board. JPEG and PNG only.
#include "image.hpp"
#include "image_file.hpp"
#include "orientation.hpp"

#include <cstdlib>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "stb_image.h"
#include "stb_image_write.h"
#pragma GCC diagnostic pop

namespace edgec {

Image read_image(const std::string& path) { return decode_image(read_picture_file(path), path); }

Image decode_image(const std::string& content, const std::string& path) {
  if (!is_jpeg(content) && !is_png(content)) throw Error(path + " is neither a JPEG nor a PNG picture");
  if (is_jpeg(content) && !is_whole_jpeg(content)) throw Error(path + ": the file ends too early");
  const auto* bytes = reinterpret_cast<const stbi_uc*>(content.data());
  const int size = static_cast<int>(content.size());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(bytes, size, &width, &height, &channels)) throw Error(path + ": " + stbi_failure_reason());
  if (!fits(width, height)) throw Error(path + ": too many pixels");
  stbi_uc* pixels = stbi_load_from_memory(bytes, size, &width, &height, &channels, 3);
  if (!pixels) throw Error(path + ": " + stbi_failure_reason());
  Image image(width, height, 3);
  image.pixels.assign(pixels, pixels + image.pixels.size());
  stbi_image_free(pixels);
  return upright(std::move(image), is_jpeg(content) ? jpeg_orientation(content) : 1);
}

std::string png_of(const Image& image) {
  int size = 0;
  unsigned char* bytes =
      stbi_write_png_to_mem(image.pixels.data(), image.width * image.channels, image.width, image.height, image.channels, &size);
  if (!bytes) throw Error("there is no memory for a picture of " + std::to_string(image.width) + "x" + std::to_string(image.height));
  const std::string content(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  std::free(bytes);
  return content;
}

}  // namespace edgec
