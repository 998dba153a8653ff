// peak.hpp: the fp32 multiply-adds a second that one thread of this CPU reaches, measured on registers alone.
#pragma once

#include <algorithm>
#include <chrono>

#include "edgec_detail.hpp"

namespace peak {

constexpr int kAccumulators = 12;  // as many as hide the latency of a multiply-add on two ports
constexpr long kRounds = 20000;

#if defined(__clang__)  // what builds the runner; other compilers have other words for this
#define EDGEC_FUSED _Pragma("clang fp contract(fast)")
#define EDGEC_UNROLLED _Pragma("clang loop unroll(full)")
#define EDGEC_AVX512 __attribute__((target("avx512f"), min_vector_width(512)))
#else
#define EDGEC_FUSED
#define EDGEC_UNROLLED
#define EDGEC_AVX512 __attribute__((target("avx512f")))
#endif
#define EDGEC_PEAK(name, bytes, features)                                                     \
  features inline float name(long rounds, float factor, float summand) {                      \
    EDGEC_FUSED typedef float Vector __attribute__((vector_size(bytes))); \
    Vector sums[kAccumulators], a, b;                                                         \
    for (int lane = 0; lane < (bytes) / 4; ++lane) a[lane] = factor, b[lane] = summand;       \
    for (int i = 0; i < kAccumulators; ++i) sums[i] = b * static_cast<float>(i);              \
    for (long round = 0; round < rounds; ++round) {                                           \
      EDGEC_UNROLLED for (int i = 0; i < kAccumulators; ++i) sums[i] = sums[i] * a + b; \
    }                                                                                         \
    for (int i = 1; i < kAccumulators; ++i) sums[0] += sums[i];                               \
    return sums[0][0];                                                                        \
  }

EDGEC_PEAK(plain, 16, )
#if defined(__x86_64__)
EDGEC_PEAK(avx2, 32, __attribute__((target("avx2,fma"))))
EDGEC_PEAK(avx512, 64, EDGEC_AVX512)
#endif
#undef EDGEC_PEAK
#undef EDGEC_FUSED
#undef EDGEC_UNROLLED
#undef EDGEC_AVX512

inline double measured(float (*function)(long, float, float), int bytes) {
  double fastest = 0;
  volatile float sink = 0;
  for (int turn = 0; turn < 20; ++turn) {
    const auto begin = std::chrono::steady_clock::now();
    sink = function(kRounds, .5f, 1.f);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    fastest = std::max(fastest, static_cast<double>(kRounds) * kAccumulators * (bytes / 4) / seconds);
  }
  (void)sink;
  return fastest;
}

inline double multiply_adds() {
  double fastest = measured(plain, 16);
#if defined(__x86_64__)
  if (edgec::detail::cpu_has("avx2") && edgec::detail::cpu_has("fma")) fastest = std::max(fastest, measured(avx2, 32));
  if (edgec::detail::cpu_has("avx512f")) fastest = std::max(fastest, measured(avx512, 64));
#endif
  return fastest;
}

}  // namespace peak
