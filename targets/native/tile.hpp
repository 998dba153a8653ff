// Tiles of 16 bytes in vector registers, by the vector types of GCC and clang, for any CPU.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define EDGEC_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define EDGEC_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define EDGEC_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Bytes{__VA_ARGS__})
#endif

namespace edgec {

constexpr int kTile = 16;
using Bytes = uint8_t __attribute__((vector_size(kTile)));
using Shorts = uint16_t __attribute__((vector_size(kTile)));

// Exchanges rows and columns. The rows of `from` are `stride` bytes apart, those of `to` are `to_stride` bytes apart.
inline void transpose(const uint8_t* from, size_t stride, uint8_t* to, size_t to_stride) {
  Bytes rows[kTile], next[kTile];
  for (int i = 0; i < kTile; ++i) std::memcpy(&rows[i], from + i * stride, kTile);
  const auto interleave = [](const Bytes* apart, Bytes* together) {  // rows that lie half a tile apart
    for (int i = 0; i < kTile / 2; ++i) {
      const Bytes a = apart[i], b = apart[i + kTile / 2];
      together[2 * i] = EDGEC_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      together[2 * i + 1] = EDGEC_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
  };
  interleave(rows, next);
  interleave(next, rows);
  interleave(rows, next);
  interleave(next, rows);
  for (int i = 0; i < kTile; ++i) std::memcpy(to + i * to_stride, &rows[i], kTile);
}

// Adds the tile at `from`, multiplied by `weight`, to 16 sums.
EDGEC_INLINE void add_product(const uint8_t* from, uint8_t weight, Shorts& low, Shorts& high) {
#if defined(__aarch64__)
  const uint8x16_t bytes = vld1q_u8(from);
  low = Shorts(vmlal_u8(uint16x8_t(low), vget_low_u8(bytes), vdup_n_u8(weight)));
  high = Shorts(vmlal_high_u8(uint16x8_t(high), bytes, vdupq_n_u8(weight)));
#else
  Bytes bytes;
  std::memcpy(&bytes, from, kTile);
  const Bytes zeros = {};
  low += Shorts(EDGEC_SHUFFLE(bytes, zeros, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)) * weight;
  high += Shorts(EDGEC_SHUFFLE(bytes, zeros, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)) * weight;
#endif
}

// Writes 16 numbers, which must be less than 256, as a tile.
EDGEC_INLINE void put_bytes(Shorts low, Shorts high, uint8_t* to) {
  const Bytes a = Bytes(low), b = Bytes(high);
  const Bytes bytes = EDGEC_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  std::memcpy(to, &bytes, kTile);
}

}  // namespace edgec
