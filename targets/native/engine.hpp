// The compiled network: floats in, floats out. Only its implementations know the back end.
#pragma once

#include <memory>
#include <vector>

#include "settings.hpp"

namespace edgec {

class Engine {
 public:
  // Loads the network of the artefact, after a check that it was made for this machine.
  explicit Engine(const Settings& settings);
  ~Engine();

  // Runs one inference on the input tensor; returns the outputs in the manifest's order.
  std::vector<Tensor> run(const std::vector<float>& input);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edgec
