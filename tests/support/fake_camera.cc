// A camera of Video4Linux that is not there: the system calls that camera.cc makes, answered from files. Linked with
// --wrap. FAKE_CAMERA is "FORMAT WIDTH HEIGHT FILE...", the frames in their order; after the last it gives none.
#include <linux/videodev2.h>
#include <poll.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "source.hpp"

namespace {

constexpr int kDevice = 1000;
constexpr size_t kLength = 1 << 20;

struct Fake {
  std::string format;
  unsigned width = 0, height = 0;
  std::vector<std::string> frames;
  std::vector<std::vector<char>> buffers;
  std::vector<unsigned> queued;
  size_t given = 0;
  bool flowing = false;
} fake;

int answer(unsigned long request, void* argument) {
  auto* buffer = static_cast<v4l2_buffer*>(argument);
  switch (request) {
    case VIDIOC_QUERYCAP:
      static_cast<v4l2_capability*>(argument)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
      return 0;
    case VIDIOC_S_FMT: {
      auto& pix = static_cast<v4l2_format*>(argument)->fmt.pix;
      pix.pixelformat = fake.format == "MJPG" ? V4L2_PIX_FMT_MJPEG : fake.format == "YUYV" ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_NV12;
      pix.width = fake.width, pix.height = fake.height;
      pix.bytesperline = fake.format == "YUYV" ? fake.width * 2 : 0;
      return 0;
    }
    case VIDIOC_REQBUFS: {
      auto* wanted = static_cast<v4l2_requestbuffers*>(argument);
      wanted->count = 2;
      fake.buffers.assign(wanted->count, std::vector<char>(kLength));
      return 0;
    }
    case VIDIOC_QUERYBUF:
      buffer->length = kLength, buffer->m.offset = buffer->index;
      return 0;
    case VIDIOC_QBUF: fake.queued.push_back(buffer->index); return 0;
    case VIDIOC_STREAMON: fake.flowing = true; return 0;
    case VIDIOC_STREAMOFF: fake.flowing = false; return 0;
    case VIDIOC_DQBUF: {
      std::ifstream file(fake.frames.at(fake.given++), std::ios::binary);
      const std::string content((std::istreambuf_iterator<char>(file)), {});
      buffer->index = fake.queued.at(0), buffer->bytesused = unsigned(content.size()), buffer->flags = 0;
      fake.queued.erase(fake.queued.begin());
      std::memcpy(fake.buffers[buffer->index].data(), content.data(), content.size());
      return 0;
    }
  }
  errno = ENOTTY;
  return -1;
}

}  // namespace

extern "C" {
int __real_open(const char* path, int flags, ...);
int __real_close(int file);
void* __real_mmap(void* at, size_t length, int protection, int flags, int file, off_t offset);
int __real_munmap(void* at, size_t length);

int __wrap_open(const char* path, int flags, ...) {
  const char* given = std::getenv("FAKE_CAMERA");
  if (std::strcmp(path, "/dev/video0") != 0 || !given) return __real_open(path, flags);
  std::istringstream words(given);
  words >> fake.format >> fake.width >> fake.height;
  fake.frames.assign(std::istream_iterator<std::string>(words), {});
  return kDevice;
}
int __wrap_close(int file) { return file == kDevice ? 0 : __real_close(file); }
int __wrap_ioctl(int, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return answer(request, argument);
}
void* __wrap_mmap(void* at, size_t length, int protection, int flags, int file, off_t offset) {
  return file == kDevice ? fake.buffers.at(size_t(offset)).data() : __real_mmap(at, length, protection, flags, file, offset);
}
int __wrap_munmap(void* at, size_t length) {
  for (const auto& buffer : fake.buffers)
    if (buffer.data() == at) return 0;
  return __real_munmap(at, length);
}
int __wrap_poll(pollfd* files, nfds_t, int) {
  files->revents = POLLIN;
  return fake.flowing && fake.given < fake.frames.size() ? 1 : 0;
}
}

// Writes the pictures of a source as FOLDER/NAME.png.
int main(int, char** values) {
  try {
    const auto source = edgec::open_source(values[1]);
    edgec::Image image;
    std::string name;
    while (source->next(image, name)) edgec::write_image(std::string(values[2]) + "/" + name + ".png", image);
    return 0;
  } catch (const edgec::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
