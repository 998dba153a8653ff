// edgec-run: run, time and check an edgec artefact on the board. See kUsage.
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>

#include "edgec.hpp"
#include "mark.hpp"
#include "npy.hpp"
#include "profile.hpp"

namespace {

const char kUsage[] =
    "usage: edgec-run [options]\n"
    "  --input NAME=FILE.npy   array for an input (default: the golden inputs)\n"
    "  --output-dir DIR        write each output there as a .npy file\n"
    "  --self-test             run on the golden inputs and compare with the golden outputs\n"
    "  --threads N             number of worker threads (default: as compiled)\n"
    "  --runs N                number of timed runs (default 1, for a profile 20)\n"
    "  --warmup N              number of warm-up runs, which are not timed (default 0, for a profile 3)\n"
    "  --profile               time each kernel of the network, and print a table, or add it to the JSON report\n"
    "  --trace FILE            write the kernels of the last run as a trace, for Perfetto or chrome://tracing\n"
    "  --json                  print a report as JSON\n"
    "  --mark                  mark the timed runs, and profiled kernels, for an instruction counter\n"
    "  --artefact DIR          the artefact's folder (default: where edgec-run is)\n"
    "  --no-check              do not compare its files with their hashes first\n"
    "The exit code is 0 on success, 1 if the self-test found a difference, 2 for bad input.\n";

struct Options {
  std::map<std::string, std::string> inputs;
  std::string output_dir, artefact, trace;
  int threads = 0, runs = -1, warmup = -1;
  bool self_test = false, json = false, mark = false, check = true, profile = false;
};

int number(const std::string& flag, const std::string& text, int least) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < least || value > 1000000)
    throw edgec::Error(flag + ": a whole number of at least " + std::to_string(least) + " was expected, got '" + text + "'");
  return static_cast<int>(value);
}

Options parse(int count, char** values) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string flag = values[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (flag == "--self-test") { options.self_test = true; continue; }
    if (flag == "--json") { options.json = true; continue; }
    if (flag == "--mark") { options.mark = true; continue; }
    if (flag == "--profile") { options.profile = true; continue; }
    if (flag == "--no-check") { options.check = false; continue; }
    const bool known = flag == "--input" || flag == "--output-dir" || flag == "--threads" || flag == "--runs" ||
                       flag == "--warmup" || flag == "--artefact" || flag == "--trace";
    if (!known) throw edgec::Error("unknown option '" + flag + "'; see --help");
    if (++i == count) throw edgec::Error(flag + " needs a value; see --help");
    const std::string value = values[i];
    if (flag == "--output-dir") options.output_dir = value;
    if (flag == "--artefact") options.artefact = value;
    if (flag == "--trace") options.trace = value, options.profile = true;
    if (flag == "--threads") options.threads = number(flag, value, 1);
    if (flag == "--runs") options.runs = number(flag, value, 1);
    if (flag == "--warmup") options.warmup = number(flag, value, 0);
    if (flag != "--input") continue;
    const size_t equals = value.rfind('=');  // a name may contain an equals sign; a path rarely does
    if (equals == std::string::npos) throw edgec::Error("--input " + value + ": NAME=FILE.npy was expected");
    options.inputs[value.substr(0, equals)] = value.substr(equals + 1);
  }
  if (options.runs < 0) options.runs = options.profile ? 20 : 1;
  if (options.warmup < 0) options.warmup = options.profile ? 3 : 0;
  if (options.self_test && !options.inputs.empty()) throw edgec::Error("--self-test uses the golden inputs: leave out --input");
  return options;
}

std::string own_folder(const char* program) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string whole = length > 0 ? std::string(path, static_cast<size_t>(length)) : program;
  const size_t slash = whole.rfind('/');
  return slash == std::string::npos ? "." : whole.substr(0, slash);
}

// The given inputs, or by default the golden ones of a sample.
std::vector<npy::Array> load_inputs(const edgec::Model& model, const Options& options, size_t sample = 0) {
  for (const auto& given : options.inputs) {
    std::string known;
    bool found = false;
    for (const edgec::Port& port : model.inputs()) {
      found = found || port.name == given.first;
      known += " " + port.name;
    }
    if (!found) throw edgec::Error("no input is called " + given.first + "; inputs:" + known);
  }
  std::vector<npy::Array> arrays;
  for (const edgec::Port& port : model.inputs()) {
    const auto given = options.inputs.find(port.name);
    if (given == options.inputs.end() && !options.inputs.empty()) throw edgec::Error("input " + port.name + " was not given");
    const bool golden = options.inputs.empty();
    const std::string path = golden ? options.artefact + "/" + port.golden.at(sample) : given->second;
    arrays.push_back(npy::read(path, port, model.batch()));
  }
  return arrays;
}

float half(uint16_t bits) {
  const float sign = bits >> 15 ? -1.f : 1.f;
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return exponent ? sign * std::ldexp(1024.f + fraction, exponent - 25) : sign * std::ldexp(float(fraction), -24);
}

template <typename T>
double load(const char* data, size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof value, sizeof value);
  return static_cast<double>(value);
}

// An element of a float32, float64 or float16 array.
double element(const std::string& dtype, const char* data, size_t i) {
  if (dtype == "float32") return load<float>(data, i);
  if (dtype == "float64") return load<double>(data, i);
  return half(static_cast<uint16_t>(load<uint16_t>(data, i)));
}

void sort_elements(const edgec::Port& port, std::vector<char>& data) {
  const size_t size = port.type.bits / 8;
  const bool is_float = port.dtype.compare(0, 5, "float") == 0;
  std::vector<size_t> order(port.elements());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) {
    if (!is_float) return std::memcmp(&data[i * size], &data[j * size], size) < 0;
    const double a = element(port.dtype, data.data(), i), b = element(port.dtype, data.data(), j);
    return std::isnan(b) ? !std::isnan(a) : a < b;  // what is no number comes last
  });
  const std::vector<char> before = data;
  for (size_t i = 0; i < order.size(); ++i) std::memcpy(&data[i * size], &before[order[i] * size], size);
}

// Largest error relative to the reference's range, as edgec.reference.compare measures it: relative to the largest
// magnitude where the reference is nearly constant; infinite for odd infinities and NaNs; of integers, the share that
// differs. Of ranked rows the elements are compared in rising order: rows may swap.
double relative_error(const edgec::Port& port, const char* actual, const char* expected) {
  std::vector<char> sorted[2];
  if (port.ranked) {
    const char** sides[2] = {&actual, &expected};
    for (int side = 0; side < 2; ++side) {
      sorted[side].assign(*sides[side], *sides[side] + port.bytes());
      sort_elements(port, sorted[side]);
      *sides[side] = sorted[side].data();
    }
  }
  if (port.dtype.compare(0, 5, "float") != 0) {
    const size_t size = port.type.bits / 8;
    size_t differing = 0;
    for (size_t i = 0; i < port.bytes(); i += size) differing += std::memcmp(actual + i, expected + i, size) != 0;
    return differing == 0 ? 0 : static_cast<double>(differing) / static_cast<double>(port.elements());
  }
  double least = INFINITY, most = -INFINITY, worst = 0;
  for (size_t i = 0; i < port.elements(); ++i) {
    const double a = element(port.dtype, actual, i), e = element(port.dtype, expected, i);
    if (a == e || (std::isnan(a) && std::isnan(e))) {
      if (!std::isfinite(e)) continue;
    } else if (!std::isfinite(e) || !std::isfinite(a)) {
      return INFINITY;
    }
    least = std::min(least, e), most = std::max(most, e), worst = std::max(worst, std::fabs(a - e));
  }
  constexpr double kConstantShare = 1e-3;
  const double magnitude = std::max(std::fabs(least), std::fabs(most));
  const double scale = most - least < kConstantShare * magnitude ? magnitude : most - least;
  return worst == 0 ? 0 : worst / (scale > 0 ? scale : 1);
}

using profile::quantile;
using profile::quoted;

std::string file_name(size_t index, const std::string& name) {
  std::string safe = name;
  for (char& c : safe)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '_';
  return std::to_string(index) + "-" + safe.substr(0, 100) + ".npy";  // the number keeps them apart
}

// The largest error of each output over all golden samples.
std::vector<double> golden_errors(edgec::Model& model, const Options& options) {
  std::vector<double> worst(model.outputs().size(), 0);
  const size_t samples = model.outputs().empty() ? 0 : model.outputs().front().golden.size();
  for (size_t sample = 0; sample < samples; ++sample) {
    const std::vector<npy::Array> arrays = load_inputs(model, options, sample);
    std::vector<const void*> inputs;
    std::vector<std::vector<char>> results;
    std::vector<void*> outputs;
    for (const npy::Array& array : arrays) inputs.push_back(array.data.data());
    for (const edgec::Port& port : model.outputs()) results.emplace_back(port.bytes());
    for (std::vector<char>& result : results) outputs.push_back(result.data());
    model.run(inputs, outputs);
    for (size_t i = 0; i < results.size(); ++i) {
      edgec::Port port = model.outputs()[i];
      const npy::Array golden = npy::read(options.artefact + "/" + port.golden.at(sample), port);
      port.shape = model.shape(i);  // where the data decides, it may differ
      const bool same_size = golden.shape == port.shape;
      const double error = same_size ? relative_error(port, results[i].data(), golden.data.data()) : INFINITY;
      worst[i] = std::max(worst[i], error);
    }
  }
  return worst;
}

int run(const Options& options) {
  edgec::Model model(options.artefact, options.threads, options.check);
  const std::vector<double> errors = options.self_test ? golden_errors(model, options) : std::vector<double>();
  const std::vector<npy::Array> arrays = load_inputs(model, options);
  std::vector<const void*> inputs;
  std::vector<std::vector<char>> results;
  std::vector<void*> outputs;
  const int batch = model.batch() > 1 ? static_cast<int>(arrays.front().shape[0]) : 1;
  for (const npy::Array& array : arrays) {
    if (model.batch() > 1 && array.shape[0] != batch) throw edgec::Error("the inputs have different batch sizes");
    inputs.push_back(array.data.data());
  }
  for (const edgec::Port& port : model.outputs()) results.emplace_back(port.bytes() * static_cast<size_t>(batch));
  for (std::vector<char>& result : results) outputs.push_back(result.data());

  for (int i = 0; i < options.warmup; ++i) model.run(inputs, outputs, batch);
  std::vector<double> times;
  for (int i = 0; i < options.runs; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    if (options.mark) EDGEC_MARK_START();
    model.run(inputs, outputs, batch);
    if (options.mark) EDGEC_MARK_STOP();
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  if (options.mark) EDGEC_MARK_REPORT();
  profile::Profile profile;
  if (options.profile)
    profile = profile::measure(model, options.warmup, options.runs, options.mark,
                               [&] { model.run(inputs, outputs, batch); });
  if (!options.trace.empty()) profile::write_trace(profile, options.trace);
  std::vector<double> sorted = times;
  std::sort(sorted.begin(), sorted.end());

  bool passed = true;
  std::string json;
  for (size_t i = 0; i < results.size(); ++i) {
    edgec::Port sized = model.outputs()[i];
    sized.shape = model.shape(i);
    const edgec::Port& port = sized;
    json += (i ? ", {" : "{") + std::string("\"name\": ") + quoted(port.name);
    if (!options.output_dir.empty()) {
      const std::string file = file_name(i, port.name);
      edgec::Port whole = port;
      if (model.batch() > 1) whole.shape[0] = batch;
      npy::write(options.output_dir + "/" + file, whole, results[i].data());
      json += ", \"file\": " + quoted(file);
    }
    if (options.self_test) {
      const double error = errors[i];
      const bool good = error <= port.accepted;
      passed = passed && good;
      char text[64];
      std::snprintf(text, sizeof text, ", \"error\": %.3e", std::isfinite(error) ? error : 1e300);
      json += text;
      if (!options.json)
        std::printf("%s %s: largest error %.2e of its range (accepted: %.0e)\n", good ? "ok      " : "MISMATCH",
                    edgec::detail::printable(port.name).c_str(), error, port.accepted);
    }
    json += "}";
  }
  const double median = quantile(sorted, .5), p90 = quantile(sorted, .9), p99 = quantile(sorted, .99);
  if (!options.json) {
    std::printf("%zu run%s, %d thread%s: median %.3f ms, p90 %.3f ms, p99 %.3f ms\n", times.size(),
                times.size() == 1 ? "" : "s", model.threads(), model.threads() == 1 ? "" : "s", median, p90, p99);
    if (options.profile) profile::print(profile);
    return passed ? 0 : 1;
  }
  std::printf("{\"threads\": %d, \"warmup\": %d, \"median_ms\": %.6f, \"p90_ms\": %.6f, \"p99_ms\": %.6f, \"times_ms\": [",
              model.threads(), options.warmup, median, p90, p99);
  for (size_t i = 0; i < times.size(); ++i) std::printf("%s%.6f", i ? ", " : "", times[i]);
  const std::string kernels = options.profile ? ", \"profile\": " + profile::json(profile) : "";
  std::printf("], \"outputs\": [%s], \"passed\": %s%s}\n", json.c_str(), passed ? "true" : "false", kernels.c_str());
  return passed ? 0 : 1;
}

}  // namespace

int main(int count, char** values) {
  try {
    Options options = parse(count, values);
    if (options.artefact.empty()) options.artefact = own_folder(values[0]);
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "edgec-run: %s\n", edgec::detail::printable(error.what()).c_str());
    return 2;
  }
}
