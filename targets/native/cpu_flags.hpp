// What instruction sets this CPU has.
#pragma once

#include <fstream>
#include <string>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace edgec {
namespace detail {

// Returns whether this CPU has an instruction set, given by its name in /proc/cpuinfo.
inline bool cpu_has(const std::string& flag) {
#if defined(__aarch64__)
  // Not from /proc/cpuinfo: emulators show the wrong one. Bits: arch/arm64/include/uapi/asm/hwcap.h
  static const struct { const char* name; unsigned long which, bit; } kKnown[] = {
      {"asimd", AT_HWCAP, 1}, {"atomics", AT_HWCAP, 8}, {"asimdhp", AT_HWCAP, 10}, {"asimdrdm", AT_HWCAP, 12},
      {"asimddp", AT_HWCAP, 20}, {"sve", AT_HWCAP, 22}, {"sve2", AT_HWCAP2, 1}, {"i8mm", AT_HWCAP2, 13},
      {"bf16", AT_HWCAP2, 14}};
  for (const auto& known : kKnown)
    if (flag == known.name) return (getauxval(known.which) >> known.bit) & 1;
  return true;
#else
  static const std::string kFlags = [] {
    std::ifstream stream("/proc/cpuinfo");
    for (std::string line; std::getline(stream, line);)
      if (line.compare(0, 5, "flags") == 0) return line.substr(line.find(':') + 1) + " ";
    return std::string();
  }();
  return kFlags.empty() || kFlags.find(" " + flag + " ") != std::string::npos;
#endif
}

}  // namespace detail
}  // namespace edgec
