#include "engine.hpp"

#include <NvInfer.h>
#include <NvInferPlugin.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

// Before 8.5 tensors go by their index, from 10 on by their name only.
#if NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR * 10 >= 850
#define EDGEC_BY_NAME 1
#else
#define EDGEC_BY_NAME 0
#endif

namespace edgec {
namespace {

class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kERROR) std::fprintf(stderr, "TensorRT: %s\n", message);
  }
};

void check(cudaError_t code, const char* what) {
  if (code != cudaSuccess) throw Error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(code));
}

// Found before the engine is loaded: TensorRT itself may crash on an engine of another version.
void check_built_here(const Settings& settings) {
  if (settings.tensorrt.empty()) throw Error(settings.artefact + " has no engine yet: run ./build.sh there first");
  int major = 0, minor = 0, patch = 0;
  std::sscanf(settings.tensorrt.c_str(), "%d.%d.%d", &major, &minor, &patch);
  const int built = major >= 10 ? major * 10000 + minor * 100 + patch : major * 1000 + minor * 100 + patch;
  if (built != getInferLibVersion())
    throw Error("the engine was built by TensorRT " + settings.tensorrt + ", but this is version " +
                std::to_string(getInferLibVersion()) + ": run ./build.sh again");
  int sm_major = 0, sm_minor = 0;
  check(cudaDeviceGetAttribute(&sm_major, cudaDevAttrComputeCapabilityMajor, 0), "no GPU");
  check(cudaDeviceGetAttribute(&sm_minor, cudaDevAttrComputeCapabilityMinor, 0), "no GPU");
  if (settings.sm != 10 * sm_major + sm_minor)
    throw Error("the engine was built for sm_" + std::to_string(settings.sm) + ", but this GPU is sm_" +
                std::to_string(10 * sm_major + sm_minor) + ": run ./build.sh again");
}

size_t count_of(const Binding& port) {
  size_t count = 1;
  for (const int64_t size : port.shape) count *= size_t(size);
  return count;
}

// In page-locked memory, which the GPU copies from and to on its own.
struct Buffer {
  size_t bytes = 0;
  void *host = nullptr, *device = nullptr;

  Buffer() = default;
  explicit Buffer(size_t size) : Buffer() {  // complete before it allocates, so that a failure frees what there is
    bytes = size;
    check(cudaHostAlloc(&host, bytes, 0), "cudaHostAlloc");
    check(cudaMalloc(&device, bytes), "cudaMalloc");
  }
  ~Buffer() {
    cudaFreeHost(host);
    cudaFree(device);
  }
  Buffer(const Buffer&) = delete;
};

template <typename T>
void to_floats(const void* from, size_t count, std::vector<float>& to) {
  const T* values = static_cast<const T*>(from);
  to.assign(values, values + count);
}

}  // namespace

struct Engine::State {
  Logger logger;
  std::vector<Binding> inputs, outputs;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
  std::vector<std::unique_ptr<Buffer>> buffers;  // of the inputs, then of the outputs
  std::vector<nvinfer1::DataType> types;         // of the outputs
  std::vector<void*> bindings;                   // by index, before 8.5
  cudaStream_t stream = nullptr;

  ~State() {
    if (stream) cudaStreamDestroy(stream);
  }

  void bind(const Binding& port, bool is_input) {
    const char* name = port.bound.c_str();
#if EDGEC_BY_NAME
    const nvinfer1::DataType type = engine->getTensorDataType(name);
    const auto mode = is_input ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
    const bool known = engine->getTensorIOMode(name) == mode;
    const nvinfer1::Dims dims = engine->getTensorShape(name);
#else
    const int index = engine->getBindingIndex(name);
    const bool known = index >= 0 && engine->bindingIsInput(index) == is_input;
    const nvinfer1::DataType type = known ? engine->getBindingDataType(index) : nvinfer1::DataType::kFLOAT;
    const nvinfer1::Dims dims = known ? engine->getBindingDimensions(index) : nvinfer1::Dims{};
#endif
    if (!known) throw Error(std::string("the engine has no tensor ") + name + ": run ./build.sh --force");
    if (is_input && type != nvinfer1::DataType::kFLOAT) throw Error("the engine's input is not float32");
    if (is_input && std::any_of(dims.d, dims.d + dims.nbDims, [](int64_t size) { return size < 0; })) set_shape(port);
    buffers.emplace_back(new Buffer(count_of(port) * width_of(type)));
    if (!is_input) types.push_back(type);
#if EDGEC_BY_NAME
    if (!context->setTensorAddress(name, buffers.back()->device)) throw Error(std::string("TensorRT cannot bind ") + name);
#else
    bindings[size_t(index)] = buffers.back()->device;
#endif
  }

  void set_shape(const Binding& port) {
    nvinfer1::Dims dims{};
    dims.nbDims = int32_t(port.shape.size());
    std::copy(port.shape.begin(), port.shape.end(), dims.d);
#if EDGEC_BY_NAME
    const bool taken = context->setInputShape(port.bound.c_str(), dims);
#else
    const bool taken = context->setBindingDimensions(engine->getBindingIndex(port.bound.c_str()), dims);
#endif
    if (!taken) throw Error("the engine was not built for the shape of " + port.name);
  }

  static size_t width_of(nvinfer1::DataType type) {
    switch (type) {
      case nvinfer1::DataType::kFLOAT:
      case nvinfer1::DataType::kINT32: return 4;
      case nvinfer1::DataType::kBOOL: return 1;
#if NV_TENSORRT_MAJOR >= 10
      case nvinfer1::DataType::kINT64: return 8;
#endif
      default: throw Error("the engine has inputs or outputs of a type other than float32, integers and bool");
    }
  }

  bool enqueue() {
#if EDGEC_BY_NAME
    return context->enqueueV3(stream);
#else
    return context->enqueueV2(bindings.data(), stream, nullptr);
#endif
  }
};

Engine::Engine(const Settings& settings) : state_(new State) {
  check_built_here(settings);
  State& s = *state_;
  s.inputs = settings.inputs;
  s.outputs = settings.outputs;
  std::ifstream file(settings.artefact + "/model.engine", std::ios::binary);
  const std::vector<char> plan((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  initLibNvInferPlugins(&s.logger, "");
  s.runtime.reset(nvinfer1::createInferRuntime(s.logger));
  s.engine.reset(s.runtime ? s.runtime->deserializeCudaEngine(plan.data(), plan.size()) : nullptr);
  if (!s.engine) throw Error("TensorRT cannot load " + settings.artefact + "/model.engine: run ./build.sh --force");
  s.context.reset(s.engine->createExecutionContext());
  if (!s.context) throw Error("TensorRT cannot create an execution context (out of memory?)");
  check(cudaStreamCreate(&s.stream), "cudaStreamCreate");
#if !EDGEC_BY_NAME
  s.bindings.resize(size_t(s.engine->getNbBindings()));
#endif
  for (const Binding& port : s.inputs) s.bind(port, true);
  for (const Binding& port : s.outputs) s.bind(port, false);
}

Engine::~Engine() = default;

std::vector<Tensor> Engine::run(const std::vector<float>& input) {
  State& s = *state_;
  Buffer& in = *s.buffers[0];
  if (input.size() * sizeof(float) != in.bytes) throw Error("the input does not have the size of the engine's");
  std::copy(input.begin(), input.end(), static_cast<float*>(in.host));
  check(cudaMemcpyAsync(in.device, in.host, in.bytes, cudaMemcpyHostToDevice, s.stream), "copy in");
  if (!s.enqueue()) throw Error("TensorRT could not start the inference");
  for (size_t i = 1; i < s.buffers.size(); ++i) {
    Buffer& out = *s.buffers[i];
    check(cudaMemcpyAsync(out.host, out.device, out.bytes, cudaMemcpyDeviceToHost, s.stream), "copy out");
  }
  check(cudaStreamSynchronize(s.stream), "inference");
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < s.outputs.size(); ++i) {
    const Binding& port = s.outputs[i];
    Tensor tensor{port.name, port.shape, {}, holds_integers(port.dtype)};
    const void* host = s.buffers[i + 1]->host;
    const size_t bytes = State::width_of(s.types[i]);
    if (s.types[i] == nvinfer1::DataType::kFLOAT) to_floats<float>(host, count_of(port), tensor.values);
    else if (bytes == 4) to_floats<int32_t>(host, count_of(port), tensor.values);
    else if (bytes == 8) to_floats<int64_t>(host, count_of(port), tensor.values);
    else to_floats<uint8_t>(host, count_of(port), tensor.values);
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

}  // namespace edgec
