// edgec_detail.hpp: the parts of edgec.hpp: tvm_ffi values, the manifest, CPU checks, worker threads.
#pragma once

#include <dlpack/dlpack.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cpu_flags.hpp"
#include "edgec_files.hpp"
#include "runtime.hpp"

namespace edgec {

// An input or output: dtype is numpy's name, golden the paths of its reference data within the artefact, a sample each.
// accepted, of an output: its error relative to the reference's range, or the share of integers that may differ; ranked:
// its rows are in the order of scores, where two that nearly tie may swap.
// Of an output with axes whose size depends on the data, shape has the largest sizes, and sizes tells of each axis which
// of the model's counts holds its size, or -1; it is empty otherwise.
struct Port {
  std::string name, dtype;
  std::vector<std::string> golden;
  double accepted = 0;
  bool ranked = false;
  std::vector<int64_t> shape, sizes;
  DLDataType type{};

  size_t elements() const {
    size_t count = 1;
    for (int64_t extent : shape) count *= static_cast<size_t>(extent);
    return count;
  }
  bool holds(const DLTensor& tensor) const {
    const DLDataType& held = tensor.dtype;
    return held.code == type.code && held.bits == type.bits && held.lanes == type.lanes && (tensor.data || elements() == 0) &&
           std::equal(shape.begin(), shape.end(), tensor.shape, tensor.shape + tensor.ndim);
  }
  size_t bytes() const { return elements() * type.bits / 8; }
};

// The work of call number `call` of a function: nodes of the ONNX model, their multiply-accumulates, and the bytes read
// and written.
struct Layer {
  std::string function;
  int64_t call = 0, macs = 0, bytes = 0;
  std::vector<std::string> nodes;
};

namespace detail {

constexpr size_t kAlignment = 64;  // alignment that the compiled kernels assume of every tensor

// Owner of one tvm_ffi value.
class Value {
 public:
  Value() { std::memset(&any_, 0, sizeof any_); }
  explicit Value(TVMFFIAny any) : any_(any) {}
  Value(Value&& other) noexcept : Value() { std::swap(any_, other.any_); }
  Value& operator=(Value&& other) noexcept {
    std::swap(any_, other.any_);
    return *this;
  }
  ~Value() {
    if (any_.type_index >= kTVMFFIStaticObjectBegin) tvm().object_dec_ref(any_.v_obj);
  }
  const TVMFFIAny& any() const { return any_; }
  int32_t kind() const { return any_.type_index; }
  TVMFFIObjectHandle object() const { return any_.v_obj; }

  std::string text() const {
    if (kind() == kTVMFFISmallStr) return std::string(any_.v_bytes, any_.small_str_len);
    if (kind() != kTVMFFIStr) throw Error("manifest.json: a string was expected");
    const TVMFFIByteArray* bytes = TVMFFIBytesGetByteArrayPtr(any_.v_obj);
    return std::string(bytes->data, bytes->size);
  }
  int64_t integer() const {
    if (kind() != kTVMFFIInt) throw Error("manifest.json: an integer was expected");
    return any_.v_int64;
  }
  double number() const {
    if (kind() == kTVMFFIInt) return static_cast<double>(any_.v_int64);
    if (kind() != kTVMFFIFloat || !std::isfinite(any_.v_float64)) throw Error("manifest.json: a number was expected");
    return any_.v_float64;
  }

 private:
  TVMFFIAny any_;
};

inline TVMFFIAny view(int32_t kind) {
  TVMFFIAny any;
  std::memset(&any, 0, sizeof any);
  any.type_index = kind;
  return any;
}
inline TVMFFIAny arg(const Value& value) { return value.any(); }
inline TVMFFIAny arg(const char* text) {
  TVMFFIAny any = view(kTVMFFIRawStr);
  any.v_c_str = text;
  return any;
}
inline TVMFFIAny arg(const std::string& text) { return arg(text.c_str()); }
inline TVMFFIAny arg(int64_t number) {
  TVMFFIAny any = view(kTVMFFIInt);
  any.v_int64 = number;
  return any;
}
inline TVMFFIAny arg(bool truth) {
  TVMFFIAny any = view(kTVMFFIBool);
  any.v_int64 = truth;
  return any;
}

inline void check(int status) {
  if (status == 0) return;
  TVMFFIObjectHandle raised = nullptr;
  tvm().error_move_from_raised(&raised);
  std::string message = "unknown error in the TVM runtime";
  if (raised != nullptr) {
    const TVMFFIByteArray& text = TVMFFIErrorGetCellPtr(raised)->message;
    message.assign(text.data, text.size);
    tvm().object_dec_ref(raised);
  }
  throw Error(message);
}

inline Value call(const Value& function, std::vector<TVMFFIAny> args) {
  TVMFFIAny result = view(kTVMFFINone);
  check(tvm().function_call(function.object(), args.data(), static_cast<int32_t>(args.size()), &result));
  return Value(result);
}

inline Value global(const char* name) {
  TVMFFIByteArray key{name, std::strlen(name)};
  TVMFFIAny any = view(kTVMFFIFunction);
  TVMFFIObjectHandle handle = nullptr;
  check(tvm().function_get_global(&key, &handle));
  if (handle == nullptr) throw Error(std::string("the TVM runtime lacks ") + name);
  any.v_obj = static_cast<TVMFFIObject*>(handle);
  return Value(any);
}

inline Value method(const Value& module, const char* name) {
  Value function = call(global("ffi.ModuleGetFunction"), {arg(module), arg(name), arg(true)});
  if (function.kind() != kTVMFFIFunction) throw Error(std::string("the compiled module lacks the function ") + name);
  return function;
}

// JSON through tvm_ffi's own parser.
inline Value field(const Value& map, const char* key) {
  if (map.kind() != kTVMFFIMap || call(global("ffi.MapCount"), {arg(map), arg(key)}).any().v_int64 == 0)
    throw Error(std::string("manifest.json lacks \"") + key + "\"");
  return call(global("ffi.MapGetItem"), {arg(map), arg(key)});
}
inline std::vector<Value> items(const Value& array) {
  if (array.kind() != kTVMFFIArray) throw Error("manifest.json: a list was expected");
  std::vector<Value> result(static_cast<size_t>(call(global("ffi.ArraySize"), {arg(array)}).any().v_int64));
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = call(global("ffi.ArrayGetItem"), {arg(array), arg(static_cast<int64_t>(i))});
  return result;
}

inline DLDataType data_type(const std::string& name) {
  const auto of = [](int code, int bits) {
    return DLDataType{static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
  };
  if (name == "bool") return of(kDLBool, 8);
  const size_t digits = name.find_first_of("0123456789");
  const std::string stem = name.substr(0, digits);
  const std::string bits = digits == std::string::npos ? "" : name.substr(digits);
  const int code = stem == "float" ? kDLFloat : stem == "int" ? kDLInt : stem == "uint" ? kDLUInt : -1;
  const bool known = (bits == "8" && code != kDLFloat) || bits == "16" || bits == "32" || bits == "64";
  if (code < 0 || !known) throw Error("manifest.json: unknown dtype " + name);
  return of(code, std::atoi(bits.c_str()));
}

// Refuse tensors of impossible sizes, before anything is computed with them.
inline void check_size(const Port& port) {
  constexpr uint64_t kLargest = uint64_t{1} << 40;
  uint64_t bytes = port.type.bits / 8;
  for (const int64_t extent : port.shape) {
    if (extent < 0 || (extent > 0 && bytes > kLargest / static_cast<uint64_t>(extent)))
      throw Error("manifest.json: " + port.name + " has an impossible shape");
    bytes *= static_cast<uint64_t>(extent);
  }
}

inline std::vector<Port> ports(const Value& manifest, const char* key) {
  std::vector<Port> result;
  for (const Value& entry : items(field(manifest, key))) {
    Port port;
    port.name = field(entry, "name").text();
    port.dtype = field(entry, "dtype").text();
    port.golden.push_back(field(entry, "golden").text());
    for (const Value& path : items(field(entry, "more"))) port.golden.push_back(path.text());
    const Value accepted = field(entry, "accepted");
    if (accepted.kind() != kTVMFFINone) port.accepted = accepted.number();
    port.ranked = field(entry, "rows").kind() != kTVMFFINone;
    for (const Value& extent : items(field(entry, "shape"))) port.shape.push_back(extent.integer());
    for (const Value& count : items(field(entry, "sizes"))) port.sizes.push_back(count.integer());
    port.type = data_type(port.dtype);
    check_size(port);
    result.push_back(std::move(port));
  }
  return result;
}

inline std::vector<Layer> layers_of(const Value& runtime) {
  std::vector<Layer> result;
  for (const Value& entry : items(field(runtime, "layers"))) {
    Layer layer;
    layer.function = field(entry, "function").text();
    layer.call = field(entry, "call").integer();
    layer.macs = field(entry, "macs").integer();
    layer.bytes = field(entry, "bytes").integer();
    for (const Value& node : items(field(entry, "nodes"))) layer.nodes.push_back(node.text());
    result.push_back(std::move(layer));
  }
  return result;
}

// The CPUs this process may use, the fastest first (big cores before little ones).
inline std::vector<int> cpus_by_speed() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<std::pair<long, int>> order;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      long khz = 0;
      std::ifstream("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cpufreq/cpuinfo_max_freq") >> khz;
      order.emplace_back(-khz, cpu);
    }
  std::sort(order.begin(), order.end());
  std::vector<int> cpus;
  for (const auto& entry : order) cpus.push_back(entry.second);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

// More threads than CPUs wait for one another most of the time.
inline int usable_threads(int64_t wanted) {
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(wanted, static_cast<int64_t>(cpus_by_speed().size()))));
}

// Give the calling thread its pool of `threads` workers. This must be its first use of the pool: pools never grow.
inline void configure_threads(int threads) {
  thread_local int configured = 0;
  if (configured == threads) return;
  const std::vector<int> cpus = cpus_by_speed();
  std::vector<std::string> names;
  for (int i = 0; i < threads; ++i) names.push_back(std::to_string(cpus[static_cast<size_t>(i) % cpus.size()]));
  std::vector<TVMFFIAny> args;
  for (const std::string& name : names) args.push_back(arg(name));
  const Value list = call(global("ffi.Array"), args);
  cpu_set_t before;
  const bool restore = threads == 1 && sched_getaffinity(0, sizeof before, &before) == 0;
  constexpr int64_t kOneCorePerThread = -2;  // unbound workers may settle on the waiting main thread's core
  call(global("runtime.config_threadpool"), {arg(kOneCorePerThread), arg(static_cast<int64_t>(threads)), arg(list)});
  if (restore) sched_setaffinity(0, sizeof before, &before);  // a single thread need not be bound to a core
  configured = threads;
}

struct Free {
  void operator()(void* pointer) const { std::free(pointer); }
};

}  // namespace detail

}  // namespace edgec
