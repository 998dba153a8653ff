/* Multiply-adds without memory: as many accumulators as hide the latency, `BYTES` wide. See kernels.py. */
#define ACCUMULATORS 12
typedef float vector __attribute__((vector_size(BYTES)));

float fma_peak(long rounds, float factor, float summand) {
    vector sums[ACCUMULATORS], a, b;
    for (int lane = 0; lane < BYTES / 4; lane++) { a[lane] = factor; b[lane] = summand; }
    for (int i = 0; i < ACCUMULATORS; i++) sums[i] = b * (float)i;
    for (long round = 0; round < rounds; round++)
#pragma clang loop unroll(full)
        for (int i = 0; i < ACCUMULATORS; i++) sums[i] = sums[i] * a + b;
    for (int i = 1; i < ACCUMULATORS; i++) sums[0] += sums[i];
    return sums[0][0];
}
