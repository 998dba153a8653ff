// Files of pictures: JPEG by libjpeg-turbo and PNG by libpng, or both by OpenCV where that was found. No other format is
// read, whatever a file is called: decoders of many formats have many holes.
#include "image.hpp"

#include "image_file.hpp"
#include "orientation.hpp"

#include <cstdio>
#include <cstring>

#ifdef EDGEC_OPENCV
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#else
#include <csetjmp>
#include <cstdlib>
// libjpeg's headers need what comes before them.
#include <jpeglib.h>

#include <jerror.h>
#include <png.h>
#endif

namespace edgec {
namespace {

#ifndef EDGEC_OPENCV

// Why a picture cannot be decoded; the libraries jump back to `back` with it.
struct Failure {
  jmp_buf back;
  char message[JMSG_LENGTH_MAX] = "";
};

struct JpegErrors {
  jpeg_error_mgr base;  // first: libjpeg knows this part
  Failure failure;
};

void jpeg_fail(j_common_ptr info) {
  Failure& failure = reinterpret_cast<JpegErrors*>(info->err)->failure;
  info->err->format_message(info, failure.message);
  longjmp(failure.back, 1);
}

void jpeg_warn(j_common_ptr info, int level) {
  if (level < 0 && (info->err->msg_code == JWRN_JPEG_EOF || info->err->msg_code == JWRN_HIT_MARKER)) jpeg_fail(info);
}

// CMYK is stored inverted, as Adobe's programs write it; rounded as Pillow does.
Image inks_to_rgb(const Image& inks) {
  Image rgb(inks.width, inks.height, 3);
  for (size_t i = 0; i < size_t(rgb.width) * rgb.height; ++i) {
    const uint8_t* ink = &inks.pixels[4 * i];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - ink[c]) * ink[3] + 128;
      rgb.pixels[3 * i + c] = uint8_t(ink[3] - ((product + (product >> 8)) >> 8));
    }
  }
  return rgb;
}

// Nothing in here has a destructor: libjpeg leaves it by a jump.
bool decode_jpeg(const std::string& content, Image& image, JpegErrors& errors) {
  jpeg_decompress_struct info;
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = jpeg_fail;
  errors.base.emit_message = jpeg_warn;
  if (setjmp(errors.failure.back)) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(content.data()), content.size());
  jpeg_read_header(&info, TRUE);
  if (!fits(info.image_width, info.image_height)) ERREXIT(&info, JERR_WIDTH_OVERFLOW);
  const bool inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);
  image = Image(static_cast<int>(info.output_width), static_cast<int>(info.output_height), info.output_components);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = image.at(0, static_cast<int>(info.output_scanline));
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  if (inks) image = inks_to_rgb(image);
  return true;
}

struct Source {
  const char* at;
  size_t left;
};

void png_take(png_structp png, png_bytep to, png_size_t size) {
  Source& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (size > source.left) png_error(png, "the file ends too early");
  std::memcpy(to, source.at, size);
  source.at += size, source.left -= size;
}

void png_fail(png_structp png, png_const_charp message) {
  Failure& failure = *static_cast<Failure*>(png_get_error_ptr(png));
  std::snprintf(failure.message, sizeof failure.message, "%s", message);
  longjmp(failure.back, 1);
}

void png_warn(png_structp, png_const_charp) {}

// As decode_jpeg.
bool decode_png(const std::string& content, Image& image, Failure& failure) {
  Source source{content.data(), content.size()};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure, png_fail, png_warn);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info || setjmp(failure.back)) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  png_set_read_fn(png, &source, png_take);
  png_read_info(png, info);
  const int64_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  if (!fits(width, height)) png_error(png, "too many pixels");
  png_set_expand(png);  // palettes, and grey of less than 8 bits
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != size_t(width) * 3) png_error(png, "a pixel does not have three bytes");
  image = Image(static_cast<int>(width), static_cast<int>(height), 3);
  for (int pass = 0; pass < passes; ++pass)
    for (int y = 0; y < image.height; ++y) png_read_row(png, image.at(0, y), nullptr);
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

#endif

}  // namespace

#ifdef EDGEC_OPENCV

Image decode_image(const std::string& content, const std::string& path) {
  if (!is_jpeg(content) && !is_png(content)) throw Error(path + " is neither a JPEG nor a PNG picture");
  const cv::Mat bytes(1, int(content.size()), CV_8U, const_cast<char*>(content.data()));
  const cv::Mat bgr = cv::imdecode(bytes, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  if (bgr.empty() || int64_t(bgr.rows) * bgr.cols > kMostPixels) throw Error(path + ": OpenCV cannot read this picture");
  Image image(bgr.cols, bgr.rows, 3);
  cv::Mat rgb(bgr.rows, bgr.cols, CV_8UC3, image.pixels.data());
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return upright(std::move(image), is_jpeg(content) ? jpeg_orientation(content) : 1);
}

std::string png_of(const Image& image) {
  cv::Mat picture(image.height, image.width, image.channels == 3 ? CV_8UC3 : CV_8UC1, const_cast<uint8_t*>(image.pixels.data()));
  cv::Mat bgr = picture;
  if (image.channels == 3) cv::cvtColor(picture, bgr = cv::Mat(), cv::COLOR_RGB2BGR);
  std::vector<uint8_t> bytes;
  if (!cv::imencode(".png", bgr, bytes)) throw Error("a picture cannot be encoded");
  return std::string(bytes.begin(), bytes.end());
}

#else

Image decode_image(const std::string& content, const std::string& path) {
  Image image;
  JpegErrors errors;
  bool good = false;
  if (is_jpeg(content)) good = decode_jpeg(content, image, errors);
  else if (is_png(content)) good = decode_png(content, image, errors.failure);
  else throw Error(path + " is neither a JPEG nor a PNG picture");
  if (!good) throw Error(path + ": " + errors.failure.message);
  return upright(std::move(image), is_jpeg(content) ? jpeg_orientation(content) : 1);
}

std::string png_of(const Image& image) {
  png_image header;
  std::memset(&header, 0, sizeof header);
  header.version = PNG_IMAGE_VERSION;
  header.width = png_uint_32(image.width), header.height = png_uint_32(image.height);
  header.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string content(size, '\0');
  if (!png_image_write_to_memory(&header, &content[0], &size, 0, image.pixels.data(), 0, nullptr))
    throw Error(std::string("a picture cannot be encoded: ") + header.message);
  content.resize(size);
  return content;
}

#endif

Image read_image(const std::string& path) { return decode_image(read_picture_file(path), path); }

}  // namespace edgec
