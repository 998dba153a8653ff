// A TensorRT engine: floats in, floats out. The only file pair that knows TensorRT and CUDA.
#pragma once

#include <memory>
#include <vector>

#include "settings.hpp"

namespace edgec {

class Engine {
 public:
  // Loads model.engine of the artefact, after a check that it was built for this TensorRT and this GPU.
  explicit Engine(const Settings& settings);
  ~Engine();

  // Runs one inference on the input tensor; returns the outputs in the manifest's order.
  std::vector<Tensor> run(const std::vector<float>& input);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edgec
