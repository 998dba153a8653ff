// The engine of a CPU board: the network that TVM compiled.
#include <cmath>
#include <cstring>

#include "edgec.hpp"
#include "engine.hpp"

namespace edgec {
namespace {

template <typename T>
void store(const std::vector<float>& from, std::vector<char>& to) {
  for (size_t i = 0; i < from.size(); ++i) {
    const T value = static_cast<T>(from[i]);
    std::memcpy(&to[i * sizeof value], &value, sizeof value);
  }
}

template <typename T>
void take(const std::vector<char>& from, std::vector<float>& to) {
  for (size_t i = 0; i < to.size(); ++i) {
    T value;
    std::memcpy(&value, &from[i * sizeof value], sizeof value);
    to[i] = static_cast<float>(value);
  }
}

}  // namespace

struct Engine::State {
  State(const Settings& settings) : model(settings.artefact, settings.threads) {
    if (model.batch() > 1)
      throw Error("the artefact was compiled for a variable batch, but pictures run one by one: compile it for a batch of 1");
    const Port& input = model.inputs().at(0);
    bytes.resize(input.bytes());
    for (const Port& port : model.outputs()) results.emplace_back(port.bytes());
  }

  Model model;
  std::vector<char> bytes;
  std::vector<std::vector<char>> results;
};

Engine::Engine(const Settings& settings) : state_(new State(settings)) {}
Engine::~Engine() = default;

std::vector<Tensor> Engine::run(const std::vector<float>& input) {
  State& s = *state_;
  const Port& port = s.model.inputs()[0];
  if (input.size() != port.elements()) throw Error("input " + port.name + " has a different size");
  if (port.dtype == "float32") store<float>(input, s.bytes);
  else if (port.dtype == "uint8") store<uint8_t>(input, s.bytes);
  else if (port.dtype == "int8") store<int8_t>(input, s.bytes);
  else throw Error("input " + port.name + " is " + port.dtype + ", but pictures become float32, uint8 or int8");
  std::vector<void*> places;
  for (std::vector<char>& result : s.results) places.push_back(result.data());
  s.model.run({s.bytes.data()}, places);
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < s.results.size(); ++i) {
    const Port& output = s.model.outputs()[i];
    Tensor tensor{output.name, s.model.shape(i), {}, holds_integers(output.dtype)};
    size_t count = 1;
    for (const int64_t size : tensor.shape) count *= static_cast<size_t>(size);
    tensor.values.resize(count);
    if (output.dtype == "float32") take<float>(s.results[i], tensor.values);
    else if (output.dtype == "float64") take<double>(s.results[i], tensor.values);
    else if (output.dtype == "int64") take<int64_t>(s.results[i], tensor.values);
    else if (output.dtype == "int32") take<int32_t>(s.results[i], tensor.values);
    else if (output.dtype == "uint8") take<uint8_t>(s.results[i], tensor.values);
    else throw Error("output " + output.name + " is " + output.dtype + ", which no decoder reads");
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

}  // namespace edgec
