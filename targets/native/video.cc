#include "video.hpp"

#include <cctype>
#include <cstring>

#include "image_file.hpp"

namespace edgec {
namespace {

bool is(const char* name, const char* wanted) { return std::memcmp(name, wanted, 4) == 0; }

}  // namespace

Video::Video(const std::string& path) : path_(path), file_(path, std::ios::binary), size_(detail::plain_size(path)) {
  char name[4], form[4];
  uint32_t size = 0;
  const bool riff = file_ && read_head(name, size) && is(name, "RIFF") && file_.read(form, 4) && is(form, "AVI ");
  if (!riff) throw Error(path + " is not an AVI video; other kinds of videos are read by `edgec run`");
}

// A chunk is its name, its length, and that many bytes, one more where that is odd; LIST chunks hold others.
bool Video::read_head(char* name, uint32_t& size) {
  unsigned char bytes[8];
  if (!file_.read(reinterpret_cast<char*>(bytes), 8)) return false;
  std::memcpy(name, bytes, 4);
  size = uint32_t(bytes[4]) | uint32_t(bytes[5]) << 8 | uint32_t(bytes[6]) << 16 | uint32_t(bytes[7]) << 24;
  return true;
}

void Video::skip(uint32_t size) { file_.seekg(int64_t(size) + (size & 1), std::ios::cur); }

bool Video::next(Image& image) {
  char name[4], kind[4];
  uint32_t size = 0;
  while (read_head(name, size)) {
    const int64_t left = size_ - int64_t(file_.tellg());
    if (is(name, "LIST") && size >= 4) {
      if (!file_.read(kind, 4)) break;
      if (!is(kind, "movi") && !is(kind, "rec ")) skip(size - 4);
    } else if (is(name, "RIFF")) {  // the next gigabyte of a long one
      file_.read(kind, 4);
    } else if (!std::isdigit(static_cast<unsigned char>(name[0])) || name[2] != 'd' || size == 0) {
      skip(size);  // sound, an index, a frame that is as the one before
    } else {
      if (int64_t(size) > left || int64_t(size) > kLargestPictureFile) throw Error(path_ + ": the video ends too early");
      std::string content(size, '\0');
      file_.read(&content[0], std::streamsize(size));
      if (size & 1) file_.get();
      if (!is_jpeg(content)) throw Error(path_ + " is not a video of JPEG frames; other kinds are read by `edgec run`");
      image = decode_image(with_tables(content), path_ + ", frame " + std::to_string(++frames_));
      return true;
    }
  }
  if (frames_ == 0) throw Error(path_ + " contains no frame");
  return false;
}

}  // namespace edgec
