// edgec.hpp: load and run an edgec artefact from C++. Header-only, C++17, Linux.
//
//   edgec::Model model("path/of/artefact");            // threads: as compiled; or edgec::Model(folder, 2)
//   model.run({input.data()}, {output.data()});        // order as in model.inputs(), model.outputs()
//   model.run({input.data()}, {output.data()}, 4);     // four items, one behind the other; see model.batch()
//
// Link with -ldl. TVM's runtime is loaded from the artefact's lib folder, after its hash was compared; it stays
// for later artefacts. Uses only the C interface of tvm_ffi, so any compiler and C++ library will do. Errors are thrown as
// edgec::Error.
//
// A Model is not thread-safe: one thread at a time. Its worker threads belong to the thread that calls run(), so call
// it always from the same one. With two threads or more the calling thread is bound to one core.
#pragma once

#include <functional>

#include "edgec_detail.hpp"

namespace edgec {

class Model {
 public:
  // Load the artefact in `folder`. threads = 0: as many as it was compiled for. Never more than there are CPUs.
  // `check`: refuse the artefact if the hash of a file does not match, which takes some milliseconds per megabyte.
  explicit Model(const std::string& folder, int threads = 0, bool check = true) {
    using namespace detail;
    std::map<std::string, std::string> listed;
    if (check) listed = sums(folder);
    for (const auto& entry : listed) check_file(listed, folder, entry.first);
    const auto used = [&](const std::string& name) {
      if (check && !listed.count(name)) throw Error(folder + "/SHA256SUMS does not list " + name);
      return inside(folder, name);
    };
    const std::string text = read_text(used("manifest.json"));
    check_depth(text, folder + "/manifest.json");
    load_runtime(used("lib/libtvm_ffi.so"), used("lib/libtvm_runtime.so"));
    const Value manifest = call(global("ffi.json.Parse"), {arg(text)});
    inputs_ = ports(manifest, "inputs");
    outputs_ = ports(manifest, "outputs");
    counts_.resize(items(field(manifest, "counts")).size());
    threads_ = usable_threads(threads > 0 ? threads : field(manifest, "threads").integer());
    const Value runtime = field(manifest, "runtime");
    batch_ = static_cast<int>(std::min<int64_t>(field(runtime, "batch").integer(), INT32_MAX));
    layers_ = layers_of(runtime);
    for (const Value& flag : items(field(runtime, "cpu_flags")))
      if (!cpu_has(flag.text()))
        throw Error("this CPU lacks " + flag.text() + ", for which the model was compiled (" +
                    field(runtime, "cpu").text() + ")");
    configure_threads(threads_);
    const std::vector<Port>& some = inputs_.empty() ? outputs_ : inputs_;
    const size_t samples = some.empty() ? 0 : some[0].golden.size();
    for (const std::vector<Port>* ports : {&inputs_, &outputs_})
      for (const Port& port : *ports) {
        if (port.golden.size() != samples) throw Error("manifest.json: " + port.name + " has a different number of golden samples");
        for (const std::string& golden : port.golden) used(golden);
        const int64_t counts = static_cast<int64_t>(counts_.size());
        const bool sized = std::all_of(port.sizes.begin(), port.sizes.end(), [counts](int64_t n) { return n < counts; });
        if (!sized || (!port.sizes.empty() && port.sizes.size() != port.shape.size()))
          throw Error("manifest.json: " + port.name + " has sizes without a count");
        if (batch_ > 1 && (port.shape.empty() || port.shape[0] != 1))
          throw Error("manifest.json: " + port.name + " has no batch");
      }
    if (batch_ > 1 && inputs_.empty()) throw Error("manifest.json: the model has a batch but no inputs");
    const std::string library = used(field(runtime, "library").text());
    module_ = call(global("ffi.ModuleLoadFromFile"), {arg(library)});
    machine_ = executor();
    main_ = method(machine_, "main");
    buffers_.resize(inputs_.size());
  }

  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  // Shape of output `index` in the last inference: that of its port, except for axes whose size depends on the data.
  std::vector<int64_t> shape(size_t index) const {
    std::vector<int64_t> shape = outputs_.at(index).shape;
    const std::vector<int64_t>& sizes = outputs_[index].sizes;
    for (size_t axis = 0; axis < sizes.size(); ++axis)
      if (sizes[axis] >= 0) shape[axis] = counts_[static_cast<size_t>(sizes[axis])];
    return shape;
  }
  int threads() const { return threads_; }
  // The nodes that the functions called by the network compute.
  const std::vector<Layer>& layers() const { return layers_; }
  // Make inferences that begin after watching(true) call `watch` before (true) and after (false) each function that the
  // network calls, in the calling thread. They have an executor of their own: others take no longer.
  void watch(std::function<void(const char* function, bool before)> watch) {
    using namespace detail;
    TVMFFIAny any = view(kTVMFFIFunction);
    TVMFFIObjectHandle handle = nullptr;
    auto* kept = new std::function<void(const char*, bool)>(std::move(watch));
    check(tvm().function_create(
        kept, tell, [](void* self) { delete static_cast<std::function<void(const char*, bool)>*>(self); }, &handle));
    any.v_obj = static_cast<TVMFFIObject*>(handle);
    const Value function(any);
    watched_ = executor();
    call(method(watched_, "set_instrument"), {arg(function)});
    watched_main_ = method(watched_, "main");
  }
  void watching(bool on) { watching_ = on && watched_main_.kind() == kTVMFFIFunction; }
  // Largest batch of run(); shapes are those of one item.
  int batch() const { return batch_; }

  // One inference: pointers to the inputs' elements (row-major), and to where the outputs' elements go: there has to be
  // room for the port's shape; where sizes depend on the data, the elements lie end to end, in shape(index).
  // An input whose address is a multiple of 64 is used in place, others are copied.
  void run(std::vector<const void*> inputs, std::vector<void*> outputs, int batch) {
    if (batch < 1 || batch > batch_)
      throw Error("a batch of " + std::to_string(batch) + " is not supported: the model takes 1 to " + std::to_string(batch_));
    for (int item = 0; item < batch; ++item) {
      run(inputs, outputs);
      for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<const char*>(inputs[i]) + inputs_[i].bytes();
      for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = static_cast<char*>(outputs[i]) + outputs_[i].bytes();
    }
  }

  void run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
    using namespace detail;
    if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size())
      throw Error("the model has " + std::to_string(inputs_.size()) + " inputs and " + std::to_string(outputs_.size()) +
                  " outputs, but run() received " + std::to_string(inputs.size()) + " and " +
                  std::to_string(outputs.size()));
    configure_threads(threads_);
    std::vector<Value> tensors;
    std::vector<TVMFFIAny> args;
    for (size_t i = 0; i < inputs.size(); ++i) {
      tensors.push_back(wrap(i, inputs[i]));
      args.push_back(arg(tensors.back()));
    }
    const Value result = call(watching_ ? watched_main_ : main_, args);
    if (outputs_.size() == 1 && result.kind() == kTVMFFITensor) return copy_out(result, 0, outputs[0]);
    const std::vector<Value> fields = items(result);
    for (size_t i = 0; i < counts_.size(); ++i)
      counts_[i] = count_of(fields.at(outputs.size() + i));
    for (size_t i = 0; i < outputs.size(); ++i) copy_out(fields.at(i), i, outputs[i]);
  }

 private:
  detail::Value executor() const {
    using namespace detail;
    Value machine = call(method(module_, "vm_load_executable"), {});
    constexpr int64_t kPooledAllocator = 2;
    call(method(machine, "vm_initialization"),
         {arg(static_cast<int64_t>(kDLCPU)), arg(int64_t{0}), arg(kPooledAllocator)});
    return machine;
  }

  // The executor's arguments: the function, its name, whether it is to be called or was, then what concerns the call.
  static int tell(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
    *result = detail::view(kTVMFFINone);
    if (count < 3 || args[1].type_index != kTVMFFIRawStr) return 0;
    (*static_cast<std::function<void(const char*, bool)>*>(self))(args[1].v_c_str, args[2].v_int64 != 0);
    return 0;
  }

  detail::Value wrap(size_t index, const void* data) {
    using namespace detail;
    Port& port = inputs_[index];
    if (reinterpret_cast<uintptr_t>(data) % kAlignment != 0) {
      if (!buffers_[index]) {
        const size_t size = (port.bytes() + kAlignment - 1) / kAlignment * kAlignment;
        buffers_[index].reset(std::aligned_alloc(kAlignment, std::max(size, kAlignment)));
      }
      std::memcpy(buffers_[index].get(), data, port.bytes());
      data = buffers_[index].get();
    }
    auto* managed = new DLManagedTensor{};
    managed->dl_tensor.data = const_cast<void*>(data);
    managed->dl_tensor.device = DLDevice{kDLCPU, 0};
    managed->dl_tensor.ndim = static_cast<int32_t>(port.shape.size());
    managed->dl_tensor.dtype = port.type;
    managed->dl_tensor.shape = port.shape.data();
    managed->deleter = [](DLManagedTensor* self) { delete self; };
    TVMFFIAny any = view(kTVMFFITensor);
    TVMFFIObjectHandle handle = nullptr;
    check(tvm().tensor_from_dlpack(managed, kAlignment, 1, &handle));
    any.v_obj = static_cast<TVMFFIObject*>(handle);
    return Value(any);
  }

  void copy_out(const detail::Value& value, size_t index, void* target) const {
    const Port& port = outputs_[index];
    const DLTensor& tensor = tensor_of(value);
    if (!port.holds(tensor)) throw Error("manifest.json: " + port.name + " is not as compiled");
    if (port.sizes.empty())
      std::memcpy(target, elements(tensor), port.bytes());
    else
      copy_valid(elements(tensor), static_cast<char*>(target), port, valid_shape(index), 0);
  }

  // Outputs are copied by their counts, so these must be plausible.
  std::vector<int64_t> valid_shape(size_t index) const {
    const std::vector<int64_t> valid = shape(index), &largest = outputs_[index].shape;
    for (size_t axis = 0; axis < valid.size(); ++axis)
      if (valid[axis] < 0 || valid[axis] > largest[axis])
        throw Error("manifest.json: " + outputs_[index].name + " is not as compiled");
    return valid;
  }

  static int64_t count_of(const detail::Value& value) {
    const DLTensor& tensor = tensor_of(value);
    const bool one = std::all_of(tensor.shape, tensor.shape + tensor.ndim, [](int64_t extent) { return extent == 1; });
    if (tensor.dtype.code != kDLInt || tensor.dtype.bits != 64 || !one || tensor.data == nullptr)
      throw Error("manifest.json: counts are not as compiled");
    int64_t count = 0;
    std::memcpy(&count, elements(tensor), sizeof count);
    return count;
  }

  // Copy the valid elements along the axes from `axis` on, contiguously; return their number of bytes.
  static size_t copy_valid(const char* from, char* to, const Port& port, const std::vector<int64_t>& valid, size_t axis) {
    size_t bytes = port.type.bits / 8;
    bool whole = true;
    for (size_t i = axis; i < valid.size(); ++i) {
      bytes *= static_cast<size_t>(port.shape[i]);
      whole = whole && (i == axis || valid[i] == port.shape[i]);
    }
    const size_t step = axis < valid.size() && port.shape[axis] > 0 ? bytes / static_cast<size_t>(port.shape[axis]) : bytes;
    const size_t count = axis < valid.size() ? static_cast<size_t>(valid[axis]) : 1;
    if (whole) {
      std::memcpy(to, from, count * step);
      return count * step;
    }
    size_t written = 0;
    for (size_t i = 0; i < count; ++i) written += copy_valid(from + i * step, to + written, port, valid, axis + 1);
    return written;
  }

  static const DLTensor& tensor_of(const detail::Value& value) {
    if (value.kind() != kTVMFFITensor) throw Error("the compiled module returned a value that is not a tensor");
    return *TVMFFITensorGetDLTensorPtr(value.object());
  }

  static const char* elements(const DLTensor& tensor) { return static_cast<const char*>(tensor.data) + tensor.byte_offset; }

  std::vector<Port> inputs_, outputs_;
  std::vector<Layer> layers_;
  std::vector<int64_t> counts_;
  std::vector<std::unique_ptr<void, detail::Free>> buffers_;
  detail::Value module_, machine_, main_, watched_, watched_main_;
  bool watching_ = false;
  int threads_ = 1, batch_ = 1;
};

}  // namespace edgec
