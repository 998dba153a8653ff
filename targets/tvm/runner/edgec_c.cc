// The C interface of edgec.hpp: libedgec.so. No exception leaves it.
#include "edgec_c.h"

#include "edgec.hpp"

struct edgec_model {
  edgec::Model model;
};

namespace {

thread_local std::string message;

template <typename Call>
int guarded(Call call) {
  try {
    call();
    return 0;
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
    message = "unknown error";
  }
  return 1;
}

}  // namespace

extern "C" {

edgec_model* edgec_open(const char* folder, int threads) {
  edgec_model* opened = nullptr;
  guarded([&] { opened = new edgec_model{edgec::Model(folder, threads)}; });
  return opened;
}

const char* edgec_error(void) { return message.c_str(); }

int edgec_run(edgec_model* model, const void* const* inputs, void* const* outputs, int batch) {
  return guarded([&] {
    edgec::Model& network = model->model;
    const std::vector<const void*> from(inputs, inputs + network.inputs().size());
    const std::vector<void*> to(outputs, outputs + network.outputs().size());
    network.run(from, to, batch);
  });
}

int edgec_shape(const edgec_model* model, int index, int64_t* sizes) {
  return guarded([&] {
    const std::vector<int64_t> shape = model->model.shape(static_cast<size_t>(index));
    std::copy(shape.begin(), shape.end(), sizes);
  });
}

void edgec_close(edgec_model* model) { delete model; }
}
