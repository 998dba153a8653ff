// The stub's library. An "engine" is text: a line `input|output NAME SIZE SIZE ...` for each float tensor. An inference
// writes what it was given to $STUB_FOLDER/input.f32 and answers with $STUB_FOLDER/output.0.f32, output.1.f32 ...
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "NvInfer.h"
#include "NvInferPlugin.h"

namespace nvinfer1 {
namespace {

struct Port {
  bool is_input;
  std::string name;
  Dims dims;
  size_t bytes;
};

bool infer(const std::vector<Port>& ports, void* const* bindings) {
  const std::string folder = std::getenv("STUB_FOLDER");
  int outputs = 0;
  for (size_t i = 0; i < ports.size(); ++i) {
    char* data = static_cast<char*>(bindings[i]);
    if (ports[i].is_input) {
      std::ofstream(folder + "/input.f32", std::ios::binary).write(data, std::streamsize(ports[i].bytes));
      continue;
    }
    std::ifstream file(folder + "/output." + std::to_string(outputs++) + ".f32", std::ios::binary);
    if (!file.read(data, std::streamsize(ports[i].bytes))) return false;
  }
  return true;
}

struct Context : IExecutionContext {
  explicit Context(const std::vector<Port>& ports) : ports(ports), addresses(ports.size()) {}
  const std::vector<Port>& ports;
  std::vector<void*> addresses;
#if STUB_TENSORRT == 8
  bool setBindingDimensions(int32_t, Dims) noexcept override { return true; }
  bool enqueueV2(void* const* bindings, cudaStream_t, cudaEvent_t*) noexcept override { return infer(ports, bindings); }
#else
  bool setInputShape(const char*, const Dims&) noexcept override { return true; }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    for (size_t i = 0; i < ports.size(); ++i)
      if (ports[i].name == name) addresses[i] = data;
    return true;
  }
  bool enqueueV3(cudaStream_t) noexcept override { return infer(ports, addresses.data()); }
#endif
};

struct Engine : ICudaEngine {
  std::vector<Port> ports;
  IExecutionContext* createExecutionContext() noexcept override { return new Context(ports); }
  int32_t index(const std::string& name) const {
    for (size_t i = 0; i < ports.size(); ++i)
      if (ports[i].name == name) return int32_t(i);
    return -1;
  }
#if STUB_TENSORRT == 8
  int32_t getNbBindings() const noexcept override { return int32_t(ports.size()); }
  int32_t getBindingIndex(const char* name) const noexcept override { return index(name); }
  bool bindingIsInput(int32_t i) const noexcept override { return ports[size_t(i)].is_input; }
  DataType getBindingDataType(int32_t) const noexcept override { return DataType::kFLOAT; }
  Dims getBindingDimensions(int32_t i) const noexcept override { return ports[size_t(i)].dims; }
#else
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    const int32_t i = index(name);
    if (i < 0) return TensorIOMode::kNONE;
    return ports[size_t(i)].is_input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(const char*) const noexcept override { return DataType::kFLOAT; }
  Dims getTensorShape(const char* name) const noexcept override {
    const int32_t i = index(name);
    return i < 0 ? Dims{} : ports[size_t(i)].dims;
  }
#endif
};

struct Runtime : IRuntime {
#if STUB_TENSORRT == 8
  ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override {
#else
  ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) override {
#endif
    std::istringstream text(std::string(static_cast<const char*>(blob), size));
    Engine* engine = new Engine;
    for (std::string line; std::getline(text, line);) {
      std::istringstream words(line);
      std::string kind;
      Port port{};
      words >> kind >> port.name;
      port.is_input = kind == "input";
      port.bytes = sizeof(float);
      for (int64_t dim; words >> dim; port.bytes *= size_t(dim)) {
        port.dims.d[port.dims.nbDims] = static_cast<decltype(+port.dims.d[0])>(dim);
        ++port.dims.nbDims;
      }
      engine->ports.push_back(port);
    }
    if (!engine->ports.empty() && engine->ports[0].is_input) return engine;
    delete engine;
    return nullptr;
  }
};

}  // namespace

IRuntime* createInferRuntime(ILogger&) noexcept { return new Runtime; }

}  // namespace nvinfer1

extern "C" int32_t getInferLibVersion() noexcept {
  const char* version = std::getenv("STUB_VERSION");
  return version ? std::atoi(version) : STUB_TENSORRT == 8 ? 8201 : 100300;
}
extern "C" bool initLibNvInferPlugins(void*, const char*) { return true; }
