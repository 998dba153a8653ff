// edgec-detect: runs an artefact on pictures or a camera; prints, draws, shows and writes the results.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>

#include "draw.hpp"
#include "engine.hpp"
#include "pipeline.hpp"
#include "settings.hpp"
#include "source.hpp"
#include "stages.hpp"

namespace edgec {
namespace {

void make_folder(const std::string& path) {
  if (!path.empty() && mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) throw Error("cannot create the folder " + path);
}

void write_floats(const std::string& path, const std::vector<float>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(float)));
  if (!file) throw Error("cannot write " + path);
}

// The outputs FOLDER/NAME.0.f32 ... of one picture.
std::vector<Tensor> read_outputs(const std::string& folder, const std::string& name, const std::vector<Binding>& ports) {
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    Tensor tensor{ports[i].name, ports[i].shape, {}, holds_integers(ports[i].dtype)};
    size_t count = 1;
    for (const int64_t size : ports[i].shape) count *= size_t(size);
    tensor.values.resize(count);
    const std::string path = folder + "/" + name + "." + std::to_string(i) + ".f32";
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(tensor.values.data()), std::streamsize(count * sizeof(float)));
    if (!file) throw Error(path + " is missing or too short");
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

std::string stem_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

// The folder of this program if it is an artefact, else the working folder.
std::string home() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string whole(path, length > 0 ? static_cast<size_t>(length) : 0), folder = whole.substr(0, whole.rfind('/'));
  return !folder.empty() && std::ifstream(folder + "/manifest.json").good() ? folder : ".";
}

void print(const std::string& name, const std::vector<Tensor>& outputs) {
  for (const Tensor& output : outputs) {
    float low = output.values.empty() ? 0 : output.values[0], high = low;
    for (const float value : output.values) low = std::min(low, value), high = std::max(high, value);
    std::printf("%s: %s  min %g  max %g\n", detail::printable(name).c_str(), detail::printable(output.name).c_str(),
                double(low), double(high));
  }
}

// Writes the inputs that pictures become, for inspection; nothing is run.
void write_inputs(const Settings& settings, Source& source) {
  make_folder(settings.inputs_to);
  Image image;
  std::string name;
  Placement placement;
  while (source.next(image, name))
    write_floats(settings.inputs_to + "/" + stem_of(name) + ".f32",
                 preprocess(image, settings.inputs[0].shape, settings.preprocessing, placement));
}

// Draws and shows a result, as the settings say; returns whether to continue.
bool show_result(const Settings& settings, Image& image, const std::string& name, const Result& result) {
  if (settings.output.empty() && !settings.show) return true;
  draw(image, result, settings.decoder.classes);
  if (!settings.output.empty()) write_image(settings.output + "/" + stem_of(name) + ".png", image);
  return !settings.show || show(image, settings.source.compare(0, 7, "camera:") != 0);
}

void say(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// A picture on its way.
struct Frame {
  Image image;
  std::string name;
  Placement placement;
  std::vector<float> input;
  std::vector<Tensor> outputs;
  Result result;
  Clock clock;
};

int run(const Settings& settings) {
  make_folder(settings.output);
  const std::unique_ptr<Source> source = open_source(settings.source);
  if (!settings.inputs_to.empty()) return write_inputs(settings, *source), 0;
  const bool decoded = !settings.decoder.kind.empty();
  std::unique_ptr<Engine> engine;
  Stages stages;
  int64_t begun = 0;

  const auto read = [&](Frame& frame) {
    if (settings.limit != 0 && begun++ == settings.limit) return false;
    frame.clock.begin();
    const bool more = source->next(frame.image, frame.name);
    frame.clock.passed("read");
    return more;
  };
  const auto prepare = [&](Frame& frame) {
    frame.clock.resume();
    frame.input = preprocess(frame.image, settings.inputs[0].shape, settings.preprocessing, frame.placement);
    frame.clock.passed("preprocess");
    return true;
  };
  const auto load = [&] {
    if (settings.outputs_from.empty()) engine.reset(new Engine(settings));
  };
  const auto infer = [&](Frame& frame) {
    frame.clock.resume();
    frame.outputs =
        engine ? engine->run(frame.input) : read_outputs(settings.outputs_from, stem_of(frame.name), settings.outputs);
    frame.clock.passed("network");
    return true;
  };
  const auto tell = [&](Frame& frame) {
    if (!decoded) return print(frame.name, frame.outputs), true;
    frame.clock.resume();
    frame.result = decode(frame.outputs, settings.decoder, frame.placement);
    frame.clock.passed("decode");
    stages.add(frame.clock);
    const std::vector<std::string>& names = settings.decoder.classes;
    say(settings.json ? json_of(frame.name, frame.result, names) : text_of(frame.name, frame.result, names));
    return show_result(settings, frame.image, frame.name, frame.result);
  };
  const std::vector<Step<Frame>> steps = {{read, nullptr}, {prepare, nullptr}, {infer, load}, {tell, nullptr}};
  if (settings.latency) in_turn(steps);
  else Pipeline<Frame>(steps).run();
  if (settings.times) say(settings.json ? stages.json() : stages.text());
  return 0;
}

}  // namespace

}  // namespace edgec

int main(int count, char** values) {
  try {
    return edgec::run(edgec::read_settings(count, values, edgec::home()));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "edgec-detect: %s\n", edgec::detail::printable(error.what()).c_str());
    return 2;
  }
}
