// A minimal stub of TensorRT's C++ API, for tests on machines without TensorRT: what the C++ runner uses and no more.
// STUB_TENSORRT=8 is 8.2 (tensors by index), 10 is 10.3 (by name). Names and types are those of NVIDIA's headers; the
// "engine" is a text file, see stub.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime_api.h"

#if STUB_TENSORRT == 8
#define NV_TENSORRT_MAJOR 8
#define NV_TENSORRT_MINOR 2
#define NV_TENSORRT_PATCH 1
#else
#define NV_TENSORRT_MAJOR 10
#define NV_TENSORRT_MINOR 3
#define NV_TENSORRT_PATCH 0
#endif

namespace nvinfer1 {

enum class DataType : int32_t { kFLOAT = 0, kHALF = 1, kINT8 = 2, kINT32 = 3, kBOOL = 4, kINT64 = 8 };

struct Dims {
  int32_t nbDims;
#if STUB_TENSORRT == 8
  int32_t d[8];
#else
  int64_t d[8];
#endif
};

class ILogger {
 public:
  enum class Severity : int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2, kINFO = 3, kVERBOSE = 4 };
  virtual void log(Severity severity, const char* message) noexcept = 0;
  virtual ~ILogger() = default;
};

class IExecutionContext {
 public:
  virtual ~IExecutionContext() = default;
#if STUB_TENSORRT == 8
  virtual bool setBindingDimensions(int32_t index, Dims dims) noexcept = 0;
  virtual bool enqueueV2(void* const* bindings, cudaStream_t stream, cudaEvent_t* consumed) noexcept = 0;
#else
  virtual bool setInputShape(const char* name, const Dims& dims) noexcept = 0;
  virtual bool setTensorAddress(const char* name, void* data) noexcept = 0;
  virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
#endif
};

#if STUB_TENSORRT != 8
enum class TensorIOMode : int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };
#endif

class ICudaEngine {
 public:
  virtual ~ICudaEngine() = default;
  virtual IExecutionContext* createExecutionContext() noexcept = 0;
#if STUB_TENSORRT == 8
  virtual int32_t getNbBindings() const noexcept = 0;
  virtual int32_t getBindingIndex(const char* name) const noexcept = 0;
  virtual bool bindingIsInput(int32_t index) const noexcept = 0;
  virtual DataType getBindingDataType(int32_t index) const noexcept = 0;
  virtual Dims getBindingDimensions(int32_t index) const noexcept = 0;
#else
  virtual TensorIOMode getTensorIOMode(const char* name) const noexcept = 0;
  virtual DataType getTensorDataType(const char* name) const noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
#endif
};

class IRuntime {
 public:
  virtual ~IRuntime() = default;
#if STUB_TENSORRT == 8
  virtual ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept = 0;
#else
  virtual ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) = 0;
#endif
};

IRuntime* createInferRuntime(ILogger& logger) noexcept;

}  // namespace nvinfer1

extern "C" int32_t getInferLibVersion() noexcept;
