/* Stands in for libcudart.so in tests on machines without a GPU: device memory is host memory. STAND_IN_SM: the compute
 * capability it reports; STAND_IN_CUDA_FAULT: the function that fails; STAND_IN_CUDA_LARGEST: the most bytes that
 * cudaMalloc has at once. */
#include <stdlib.h>
#include <string.h>

static int fails(const char *function) {
  const char *fault = getenv("STAND_IN_CUDA_FAULT");
  return fault && !strcmp(fault, function) ? 2 : 0; /* cudaErrorMemoryAllocation */
}
static int sm(void) {
  const char *text = getenv("STAND_IN_SM");
  return text ? atoi(text) : 62;
}
const char *cudaGetErrorString(int code) { return code == 2 ? "out of memory" : "unknown error"; }
int cudaStreamCreate(void **stream) { *stream = (void *)1; return fails("cudaStreamCreate"); }
int cudaStreamDestroy(void *stream) { return fails("cudaStreamDestroy"); }
static void *waited = NULL;
void *stand_in_waited(void) { return waited; } /* the stream that was last waited for */
int cudaStreamSynchronize(void *stream) { waited = stream; return fails("cudaStreamSynchronize"); }
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? sm() / 10 : attribute == 76 ? sm() % 10 : 0;
  return fails("cudaDeviceGetAttribute");
}

static int live = 0;
int stand_in_live(void) { return live; } /* blocks that are not freed */
static int allocate(void **address, size_t size, int code) {
  if (code) return code;
  live++;
  *address = malloc(size);
  return 0;
}
static void release(void *address) {
  live -= address != NULL;
  free(address);
}
int cudaHostAlloc(void **address, size_t size, unsigned flags) { return allocate(address, size, fails("cudaHostAlloc")); }
int cudaMalloc(void **address, size_t size) {
  const char *largest = getenv("STAND_IN_CUDA_LARGEST");
  return allocate(address, size, largest && size > strtoul(largest, NULL, 10) ? 2 : fails("cudaMalloc"));
}
int cudaFreeHost(void *address) { release(address); return fails("cudaFreeHost"); }
int cudaFree(void *address) { release(address); return fails("cudaFree"); }

static int copies[4] = {0, 0, 0, 0};
int stand_in_copies(int kind) { return copies[kind]; } /* 1: host to device, 2: device to host, 3: within the device */
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
  copies[kind]++;
  memcpy(to, from, size);
  return fails("cudaMemcpyAsync");
}
