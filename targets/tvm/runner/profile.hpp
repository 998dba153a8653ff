// profile.hpp: the time of each kernel of a network, measured while its executor calls it; edgec-run --profile.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>

#include "edgec.hpp"
#include "mark.hpp"
#include "peak.hpp"

namespace profile {

using Clock = std::chrono::steady_clock;  // monotonic

inline double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : quantile(values, .5);
}

inline std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? code : std::string(1, c);
  }
  return result + "\"";
}

// One call of a function: `self` is its own time in ms, without that of the calls inside it.
struct Call {
  const char* function;
  double begin, self;
  bool kernel;
};

inline bool is_kernel(const char* function) { return std::strncmp(function, "vm.", 3) != 0; }

// Notes when functions begin and end; the calls of an inference are worked out after it. With `mark`, an instruction
// counter reports each kernel.
class Recorder {
 public:
  Recorder(edgec::Model& model, bool mark) : model_(model) {
    model.watch([this, mark](const char* function, bool before) {
      if (before) {
        events_.push_back({function, true, {}});
        events_.back().at = Clock::now();
        if (mark && is_kernel(function)) EDGEC_MARK_START();
      } else {
        if (mark && is_kernel(function)) {
          EDGEC_MARK_STOP();
          EDGEC_MARK_REPORT();
        }
        events_.push_back({function, false, Clock::now()});
      }
    });
  }

  template <typename Run>
  std::vector<Call> record(const Run& run) {
    events_.clear();
    model_.watching(true);
    const Clock::time_point start = Clock::now();
    run();
    model_.watching(false);
    struct Open {
      size_t call;
      double inside;
    };
    std::vector<Call> calls;
    std::vector<Open> open;
    for (const Event& event : events_) {
      const double at = std::chrono::duration<double, std::milli>(event.at - start).count();
      if (event.before) {
        open.push_back({calls.size(), 0});
        calls.push_back({event.function, at, 0, is_kernel(event.function)});
        continue;
      }
      if (open.empty()) throw edgec::Error("the executor reported an end without a beginning");
      const Open last = open.back();
      open.pop_back();
      const double whole = at - calls[last.call].begin;
      calls[last.call].self = whole - last.inside;
      if (!open.empty()) open.back().inside += whole;
    }
    return calls;
  }

 private:
  struct Event {
    const char* function;
    bool before;
    Clock::time_point at;
  };
  edgec::Model& model_;
  std::vector<Event> events_;
};

// A kernel of the network: its times over the runs, and its entry in the manifest.
struct Kernel {
  std::string function;
  std::vector<std::string> nodes;
  double macs = 0, bytes = 0, begin = 0, ms = 0;
  std::vector<double> times;
};

struct Profile {
  std::vector<Kernel> kernels;  // in the order of the network
  double whole_ms = 0;          // of runs without clocks inside, by turns with the others
  double executor_ms = 0;       // between the kernels: allocations, tuples
  double clock_ns = 0;          // to read the clock, which is inside of each kernel's time once
  double peak = 0;              // fp32 multiply-adds a second of one thread, measured here
  int threads = 1;

  double share_of_peak(const Kernel& kernel) const {
    return kernel.ms > 0 && peak > 0 ? kernel.macs / (1e-3 * kernel.ms * peak * threads) : 0;
  }
};

inline double clock_ns() {
  std::vector<double> times;
  for (int i = 0; i < 1001; ++i) {
    const Clock::time_point begin = Clock::now();
    times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
  }
  return median(times);
}

// Fill in what `layers` of the manifest say: a kernel is the n-th call of its function.
inline void describe(std::vector<Kernel>& kernels, const std::vector<edgec::Layer>& layers) {
  std::map<std::pair<std::string, int64_t>, const edgec::Layer*> known;
  for (const edgec::Layer& layer : layers) known[{layer.function, layer.call}] = &layer;
  std::map<std::string, int64_t> calls;
  for (Kernel& kernel : kernels) {
    const auto found = known.find({kernel.function, calls[kernel.function]++});
    if (found == known.end()) continue;
    kernel.nodes = found->second->nodes;
    kernel.macs = static_cast<double>(found->second->macs);
    kernel.bytes = static_cast<double>(found->second->bytes);
  }
}

// Measure `runs` inferences with clocks inside, and as many without, by turns.
template <typename Run>
Profile measure(edgec::Model& model, int warmup, int runs, bool mark, const Run& run) {
  Recorder recorder(model, mark);
  Profile result;
  result.threads = model.threads();
  for (int i = 0; i < warmup; ++i) {
    run();
    recorder.record(run);
  }
  std::vector<double> whole, executor;
  for (int i = 0; i < runs; ++i) {
    const Clock::time_point begin = Clock::now();
    run();
    whole.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    executor.push_back(0);
    size_t at = 0;
    for (const Call& call : recorder.record(run)) {
      if (!call.kernel) {
        executor.back() += call.self;
        continue;
      }
      if (i == 0) result.kernels.push_back({call.function, {}, 0, 0, 0, 0, {}});
      if (at >= result.kernels.size() || result.kernels[at].function != call.function)
        throw edgec::Error("two inferences called different kernels, so they cannot be profiled");
      result.kernels[at].begin = call.begin;  // the last run is the one that a trace shows
      result.kernels[at++].times.push_back(call.self);
    }
  }
  for (Kernel& kernel : result.kernels) kernel.ms = median(kernel.times);
  result.whole_ms = median(whole);
  result.executor_ms = median(executor);
  result.clock_ns = clock_ns();
  result.peak = peak::multiply_adds();
  describe(result.kernels, model.layers());
  return result;
}

inline std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + quoted(name);
  return "[" + text + "]";
}

inline std::string number(double value, const char* format = "%.6g") {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

inline std::string json(const Profile& profile) {
  std::string kernels;
  for (const Kernel& kernel : profile.kernels)
    kernels += (kernels.empty() ? "{\"function\": " : ", {\"function\": ") + quoted(kernel.function) +
               ", \"nodes\": " + list(kernel.nodes) + ", \"ms\": " + number(kernel.ms) + ", \"macs\": " +
               number(kernel.macs, "%.0f") + ", \"bytes\": " + number(kernel.bytes, "%.0f") + ", \"share_of_peak\": " +
               number(profile.share_of_peak(kernel), "%.4f") + "}";
  return "{\"whole_ms\": " + number(profile.whole_ms) + ", \"executor_ms\": " + number(profile.executor_ms) +
         ", \"clock_ns\": " + number(profile.clock_ns) + ", \"peak_macs_per_s\": " + number(profile.peak) +
         ", \"threads\": " + std::to_string(profile.threads) + ", \"kernels\": [" + kernels + "]}";
}

// The last run, as Chrome's tracing and Perfetto read it.
inline void write_trace(const Profile& profile, const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) throw edgec::Error("cannot write " + path);
  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  for (const Kernel& kernel : profile.kernels) {
    const std::string name = kernel.nodes.empty() ? kernel.function : kernel.nodes.front();
    text += std::string(&kernel == profile.kernels.data() ? "\n" : ",\n") + "{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"name\": " +
            quoted(name) + ", \"ts\": " + number(1e3 * kernel.begin, "%.3f") + ", \"dur\": " +
            number(1e3 * kernel.times.back(), "%.3f") + ", \"args\": {\"function\": " + quoted(kernel.function) +
            ", \"nodes\": " + list(kernel.nodes) + ", \"macs\": " + number(kernel.macs, "%.0f") + "}}";
  }
  text += "\n]}\n";
  const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !whole) throw edgec::Error("cannot write " + path);
}

// The kernels, slowest first, and how their sum compares with the whole.
inline void print(const Profile& profile) {
  std::vector<const Kernel*> order;
  double sum = 0;
  for (const Kernel& kernel : profile.kernels) {
    order.push_back(&kernel);
    sum += kernel.ms;
  }
  std::stable_sort(order.begin(), order.end(), [](const Kernel* a, const Kernel* b) { return a->ms > b->ms; });
  std::printf("%10s %6s %10s %10s %7s  %s\n", "ms", "share", "MMAC", "KiB", "peak", "nodes");
  for (const Kernel* kernel : order) {
    std::string names;
    for (const std::string& name : kernel->nodes) names += (names.empty() ? "" : " + ") + name;
    std::printf("%10.4f %5.1f%% %10.3f %10.1f %6.1f%%  %s\n", kernel->ms, sum > 0 ? 100 * kernel->ms / sum : 0,
                kernel->macs / 1e6, kernel->bytes / 1024, 100 * profile.share_of_peak(*kernel),
                edgec::detail::printable(names.empty() ? kernel->function : names).c_str());
  }
  std::printf("kernels %.4f ms, executor %.4f ms, whole inference without clocks inside %.4f ms; a clock takes %.0f ns\n", sum,
              profile.executor_ms, profile.whole_ms, profile.clock_ns);
  std::printf("peak: %.1f billion fp32 multiply-adds a second on each of %d threads\n", profile.peak / 1e9,
              profile.threads);
}

}  // namespace profile
