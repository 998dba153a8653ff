// runtime.hpp: TVM's runtime, loaded by the program, not with it: the system would run its code before any hash is compared.
#pragma once

#include <dlfcn.h>
#include <tvm/ffi/c_api.h>

#include <mutex>
#include <string>
#include <type_traits>

#include "edgec_files.hpp"

namespace edgec {
namespace detail {

// The functions of tvm_ffi that are called; null until load_tvm().
struct Runtime {
  decltype(&TVMFFIErrorMoveFromRaised) error_move_from_raised;
  decltype(&TVMFFIFunctionCall) function_call;
  decltype(&TVMFFIFunctionCreate) function_create;
  decltype(&TVMFFIFunctionGetGlobal) function_get_global;
  decltype(&TVMFFIObjectDecRef) object_dec_ref;
  decltype(&TVMFFITensorFromDLPack) tensor_from_dlpack;
};

inline Runtime& tvm() {
  static Runtime functions{};
  return functions;
}

// Returns a handle of the library at `path`, whose functions are then visible to libraries that are loaded later.
inline void* open_library(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) throw Error("a library cannot be loaded: " + std::string(dlerror()));
  return handle;
}

// Load the libraries at these paths, which stay loaded. A process has one runtime: that of its first Model, or the one
// that the program is linked with.
inline void load_runtime(const std::string& ffi, const std::string& runtime) {
  static std::mutex loading;
  const std::lock_guard<std::mutex> lock(loading);
  if (tvm().function_call != nullptr) return;
  void* handle = dlopen("libtvm_runtime.so", RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  if (handle == nullptr) open_library(ffi), handle = open_library(runtime);
  const auto find = [handle](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (function == nullptr) throw Error(std::string("the TVM runtime lacks ") + name);
  };
  Runtime found{};
  find(found.error_move_from_raised, "TVMFFIErrorMoveFromRaised");
  find(found.function_call, "TVMFFIFunctionCall");
  find(found.function_create, "TVMFFIFunctionCreate");
  find(found.function_get_global, "TVMFFIFunctionGetGlobal");
  find(found.object_dec_ref, "TVMFFIObjectDecRef");
  find(found.tensor_from_dlpack, "TVMFFITensorFromDLPack");
  tvm() = found;
}

}  // namespace detail
}  // namespace edgec
