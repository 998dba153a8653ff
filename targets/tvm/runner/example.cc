// example.cc: run an edgec artefact from your own program. Usage: example FOLDER
#include <cstdio>

#include "edgec.hpp"

int main(int count, char** values) {
  try {
    edgec::Model model(count > 1 ? values[1] : "..");
    std::vector<std::vector<char>> inputs, outputs;
    std::vector<const void*> from;
    std::vector<void*> to;
    for (const edgec::Port& port : model.inputs()) {
      std::printf("input  %s: %s, %zu elements\n", port.name.c_str(), port.dtype.c_str(), port.elements());
      inputs.emplace_back(port.bytes());  // zeros; put your picture here
    }
    for (const edgec::Port& port : model.outputs()) outputs.emplace_back(port.bytes());
    for (const auto& buffer : inputs) from.push_back(buffer.data());
    for (auto& buffer : outputs) to.push_back(buffer.data());
    model.run(from, to);
    for (size_t i = 0; i < outputs.size(); ++i) {
      edgec::Port port = model.outputs()[i];
      port.shape = model.shape(i);  // where the data decides, smaller than the port's
      std::printf("output %s: %s, %zu elements", port.name.c_str(), port.dtype.c_str(), port.elements());
      if (port.dtype == "float32" && port.elements() > 0)
        std::printf(", first %g", *reinterpret_cast<const float*>(outputs[i].data()));
      std::printf("\n");
    }
  } catch (const edgec::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
