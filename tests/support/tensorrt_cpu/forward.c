/* Stands in for libnvinfer, libnvonnxparser and libnvinfer_plugin (built three times: -DNVINFER, -DPARSER, -DPLUGIN)
 * below TensorRT's Python bindings, and passes every call on to TensorRT for RTX, whose parser and builder need no GPU.
 * Only the version that the bindings announce is replaced, by the library's own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *symbol(const char *library, const char *name) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
  void *found = handle ? dlsym(handle, name) : NULL;
  if (!found) {
    fprintf(stderr, "tensorrt_cpu: %s\n", dlerror());
    abort();
  }
  return found;
}

#define RTX(type, name) ((type)symbol("libtensorrt_rtx.so.1", name))
#define ONNX(type, name) ((type)symbol("libtensorrt_onnxparser_rtx.so.1", name))

typedef void *(*create_t)(void *, int32_t);
typedef void *(*create_from_t)(void *, void *, int32_t);

static int32_t version(void) { return RTX(int32_t (*)(void), "getInferLibVersion")(); }

#ifdef NVINFER
void *createInferBuilder_INTERNAL(void *log, int32_t v) {
  return RTX(create_t, "createInferBuilder_INTERNAL")(log, version());
}
void *createInferRuntime_INTERNAL(void *log, int32_t v) {
  return RTX(create_t, "createInferRuntime_INTERNAL")(log, version());
}
void *createInferRefitter_INTERNAL(void *engine, void *log, int32_t v) {
  return RTX(create_from_t, "createInferRefitter_INTERNAL")(engine, log, version());
}
void *getPluginRegistry(void) { return RTX(void *(*)(void), "getPluginRegistry")(); }
void *getBuilderPluginRegistry(int kind) { return RTX(void *(*)(int), "getBuilderPluginRegistry")(kind); }
#endif

#ifdef PARSER
void *createNvOnnxParser_INTERNAL(void *network, void *log, int32_t v) {
  return ONNX(create_from_t, "createNvOnnxParser_INTERNAL")(network, log, version());
}
void *createNvOnnxParserRefitter_INTERNAL(void *refitter, void *log, int32_t v) {
  return ONNX(create_from_t, "createNvOnnxParserRefitter_INTERNAL")(refitter, log, version());
}
int getNvOnnxParserVersion(void) { return ONNX(int (*)(void), "getNvOnnxParserVersion")(); }
#endif

#ifdef PLUGIN
int initLibNvInferPlugins(void *log, const char *space) { return 1; }
#endif
