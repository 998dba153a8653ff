#include "camera.hpp"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "image_file.hpp"

namespace edgec {
namespace {

constexpr int kPatience = 5000;  // ms without a frame
constexpr unsigned kBuffers = 4;
constexpr int kMostDamaged = 30;  // frames, one after the other

uint8_t clamped(int value) { return uint8_t(std::min(255, std::max(0, value))); }

v4l2_buffer buffer_of(unsigned index) {
  v4l2_buffer buffer{};
  buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  buffer.memory = V4L2_MEMORY_MMAP;
  buffer.index = index;
  return buffer;
}

}  // namespace

Camera::Camera(int number) : path_("/dev/video" + std::to_string(number)) {
  device_ = open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device_ < 0) throw Error("camera:" + std::to_string(number) + ": cannot open " + path_ + ": " + std::strerror(errno));
  try {
    v4l2_capability able{};
    control(VIDIOC_QUERYCAP, &able, "is not a camera");
    const unsigned caps = able.capabilities & V4L2_CAP_DEVICE_CAPS ? able.device_caps : able.capabilities;
    if (!(caps & V4L2_CAP_VIDEO_CAPTURE) || !(caps & V4L2_CAP_STREAMING)) throw Error(path_ + " is not a camera that can stream");
    choose_format();
    map_buffers();
    int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    control(VIDIOC_STREAMON, &type, "does not start");
    flowing_ = true;
  } catch (...) {
    release();
    throw;
  }
}

Camera::~Camera() { release(); }

void Camera::release() noexcept {
  int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  if (flowing_) ioctl(device_, VIDIOC_STREAMOFF, &type);
  for (const Buffer& buffer : buffers_) munmap(buffer.start, buffer.length);
  buffers_.clear();
  if (device_ >= 0) close(device_);
  device_ = -1;
}

void Camera::control(unsigned long request, void* argument, const char* what) {
  int result = 0;
  do result = ioctl(device_, request, argument);
  while (result < 0 && errno == EINTR);
  if (result < 0) throw Error(path_ + " " + what + ": " + std::strerror(errno));
}

void Camera::choose_format() {
  for (const unsigned kind : {V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_YUYV}) {
    v4l2_format format{};
    format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    format.fmt.pix.width = 1280, format.fmt.pix.height = 720;
    format.fmt.pix.pixelformat = kind;
    format.fmt.pix.field = V4L2_FIELD_ANY;
    control(VIDIOC_S_FMT, &format, "accepts no format");
    if (format.fmt.pix.pixelformat != kind) continue;
    width_ = int(format.fmt.pix.width), height_ = int(format.fmt.pix.height);
    stride_ = std::max<size_t>(format.fmt.pix.bytesperline, size_t(width_) * 2);
    jpeg_ = kind == V4L2_PIX_FMT_MJPEG;
    if (width_ < 2 || height_ < 1 || width_ > 1 << 15 || height_ > 1 << 15) throw Error(path_ + " has frames of an impossible size");
    return;
  }
  throw Error(path_ + " offers neither JPEG frames nor YUYV");
}

void Camera::map_buffers() {
  v4l2_requestbuffers wanted{};
  wanted.count = kBuffers, wanted.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, wanted.memory = V4L2_MEMORY_MMAP;
  control(VIDIOC_REQBUFS, &wanted, "provides no buffers");
  for (unsigned index = 0; index < wanted.count; ++index) {
    v4l2_buffer buffer = buffer_of(index);
    control(VIDIOC_QUERYBUF, &buffer, "provides no buffer");
    void* start = mmap(nullptr, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, device_, off_t(buffer.m.offset));
    if (start == MAP_FAILED) throw Error(path_ + " provides no memory: " + std::strerror(errno));
    buffers_.push_back({start, buffer.length});
    control(VIDIOC_QBUF, &buffer, "accepts no buffer");
  }
  if (buffers_.empty()) throw Error(path_ + " provides no buffers");
}

Image Camera::next() {
  for (int damaged = 0;;) {  // frames may be damaged on their way
    pollfd waiting{device_, POLLIN, 0};
    const int ready = poll(&waiting, 1, kPatience);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || waiting.revents & (POLLERR | POLLHUP | POLLNVAL)) throw Error(path_ + " stopped delivering pictures: check its cable");
    v4l2_buffer buffer = buffer_of(0);
    if (ioctl(device_, VIDIOC_DQBUF, &buffer) < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      throw Error(path_ + " stopped delivering pictures: " + std::strerror(errno));
    }
    if (buffer.index >= buffers_.size()) throw Error(path_ + " returned a buffer that is not its own");
    const Buffer& place = buffers_[buffer.index];
    const auto* bytes = static_cast<const unsigned char*>(place.start);
    const size_t used = std::min<size_t>(buffer.bytesused, place.length);
    const bool whole = !(buffer.flags & V4L2_BUF_FLAG_ERROR) && (jpeg_ ? used > 0 : used >= stride_ * size_t(height_));
    Image image;
    const std::string content(whole && jpeg_ ? reinterpret_cast<const char*>(bytes) : "", whole && jpeg_ ? used : 0);
    if (whole && !jpeg_) image = from_yuyv(bytes, width_, height_, stride_);
    control(VIDIOC_QBUF, &buffer, "takes no buffer");
    if (whole && !jpeg_) return image;
    try {
      if (whole) return decode_image(with_tables(content), path_);
    } catch (const Error&) {
      if (damaged == kMostDamaged) throw;
    }
    if (damaged++ == kMostDamaged) throw Error(path_ + " sends only damaged pictures: check its cable");
  }
}

Image from_yuyv(const unsigned char* bytes, int width, int height, size_t stride) {
  Image image(width, height, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const unsigned char* pair = bytes + size_t(y) * stride + size_t(x / 2) * 4;
      const int luma = 298 * (pair[2 * (x % 2)] - 16) + 128, u = pair[1] - 128, v = pair[3] - 128;
      uint8_t* pixel = image.at(x, y);
      pixel[0] = clamped((luma + 409 * v) >> 8);
      pixel[1] = clamped((luma - 100 * u - 208 * v) >> 8);
      pixel[2] = clamped((luma + 516 * u) >> 8);
    }
  return image;
}

}  // namespace edgec
