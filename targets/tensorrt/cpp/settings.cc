#include "settings.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

namespace edgec {
namespace {

const char kUsage[] =
    "usage: edgec-detect [options] [SOURCE]\n"
    "  SOURCE               a picture, a folder of pictures, or camera:0\n"
    "  --settings FILE      YAML file; keys are the flags below without dashes, and those of the decoder:\n"
    "                       classes, strides, outputs, variances, logits, max_detections\n"
    "  --artefact DIR       the artefact, its engine built there by ./build.sh (default: here)\n"
    "  --decoder NAME       boxes, centernet, ssd, yolov3, yolov5, yolov8 or yolox\n"
    "  --min_score X        lowest score of a box (default 0.25)\n"
    "  --max_overlap X      largest overlap (IoU) of two boxes of a class (default 0.5)\n"
    "  --output DIR         write each picture with its boxes there\n"
    "  --show               show each picture in a window (with OpenCV)\n"
    "  --inputs_to DIR      write the preprocessed inputs there as raw floats; run nothing\n"
    "  --outputs_from DIR   decode the raw outputs there; run nothing\n"
    "exit code: 0 done, 2 bad input or no engine\n";

constexpr int kLongestSide = 1 << 16;                 // of a network's input, in pixels
constexpr int64_t kMostElements = int64_t{1} << 31;  // of an input or output

const std::set<std::string> kKeys = {"source",  "artefact", "decoder", "min_score", "max_overlap", "output",    "show",
                                     "classes", "strides",  "outputs", "variances", "logits",      "inputs_to", "outputs_from",
                                     "max_detections", "input"};  // the last: for trainers, in a decoder's record

// The value of `key`, or `fallback` where there is none. (Node::as(fallback) would hide a value of a wrong kind too.)
template <typename T>
T value_of(const YAML::Node& node, const char* key, T fallback) {
  const YAML::Node value = node[key];
  return value && !value.IsNull() ? value.as<T>() : fallback;
}

YAML::Node load(const std::string& path) {
  const std::string text = detail::read_text(path);
  detail::check_depth(text, path);
  try {
    return YAML::Load(text);  // JSON is YAML
  } catch (const YAML::Exception& error) {
    throw Error(path + ": " + error.what());
  }
}

void merge(YAML::Node& all, const YAML::Node& more, const std::string& source) {
  if (!more.IsMap()) throw Error(source + ": not a list of key: value");
  for (const auto& entry : more) {
    const std::string key = entry.first.as<std::string>();
    if (!kKeys.count(key)) throw Error(source + ": " + key + " is no setting; see --help");
    all[key] = entry.second;
  }
}

// The form of `edgec compile --decoder`: yolox,strides=8/16/32,min_score=0.1
YAML::Node decoder_of(const std::string& given) {
  YAML::Node node(YAML::NodeType::Map);
  size_t start = 0;
  while (start <= given.size()) {
    const size_t comma = std::min(given.find(',', start), given.size());
    const std::string item = given.substr(start, comma - start);
    const size_t equals = item.find('=');
    if (start == 0) node["decoder"] = item;
    else if (equals == std::string::npos) throw Error("decoder " + given + ": " + item + " is not key=value");
    else {
      std::string value = item.substr(equals + 1);
      if (value.find('/') != std::string::npos) {
        for (char& c : value) c = c == '/' ? ',' : c;
        value = "[" + value + "]";
      }
      node[item.substr(0, equals)] = YAML::Load(value);
    }
    start = comma + 1;
  }
  return node;
}

bool is_record(const std::string& decoder) {
  const size_t dot = decoder.rfind('.');
  return dot != std::string::npos && (decoder.substr(dot) == ".json" || decoder.substr(dot) == ".toml");
}

YAML::Node flags(int count, char** values) {
  YAML::Node given(YAML::NodeType::Map);
  for (int i = 1; i < count; ++i) {
    const std::string flag = values[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (flag.compare(0, 2, "--") != 0) {
      given["source"] = flag;
    } else if (flag == "--show") {
      given["show"] = true;
    } else {
      const std::string key = flag.substr(2);
      if (key != "settings" && !kKeys.count(key)) throw Error("unknown option " + flag + "; see --help");
      if (++i == count) throw Error(flag + " needs a value; see --help");
      given[key] = values[i];
    }
  }
  return given;
}

void check_stride(int stride) {
  if (stride < 1 || stride > kLongestSide) throw Error("strides are at least 1, one is " + std::to_string(stride));
}

Decoder decoder(const YAML::Node& node) {
  Decoder result;
  result.kind = value_of<std::string>(node, "decoder", node["outputs"] ? "yolov3" : "");  // as edgec reads a record
  result.min_score = value_of<float>(node, "min_score", result.min_score);
  result.max_overlap = value_of<float>(node, "max_overlap", result.max_overlap);
  result.max_detections = value_of<int>(node, "max_detections", result.max_detections);
  result.classes = value_of<std::vector<std::string>>(node, "classes", result.classes);
  result.strides = value_of<std::vector<int>>(node, "strides", result.strides);
  result.variances = value_of<std::vector<float>>(node, "variances", result.variances);
  result.logits = value_of<bool>(node, "logits", false);
  for (const YAML::Node& map : node["outputs"]) {
    Scale scale{map["name"].as<std::string>(), map["stride"].as<int>(), {}};
    for (const YAML::Node& anchor : map["anchors"]) scale.anchors.push_back({anchor[0].as<float>(), anchor[1].as<float>()});
    result.scales.push_back(scale);
  }
  for (const Scale& scale : result.scales) check_stride(scale.stride);
  for (const int stride : result.strides) check_stride(stride);
  if (result.variances.size() != 2) throw Error("variances: two are wanted, one of the centre and one of the size");
  if (std::isnan(result.min_score) || std::isnan(result.max_overlap)) throw Error("a threshold is no number");
  return result;
}

std::vector<Port> ports(const YAML::Node& list, const YAML::Node& names) {
  std::vector<Port> result;
  for (const YAML::Node& entry : list) {
    const std::string name = entry["name"].as<std::string>();
    result.push_back({name, names[name].as<std::string>(), entry["dtype"].as<std::string>(),
                      entry["shape"].as<std::vector<int64_t>>()});
    int64_t elements = 1;
    for (const int64_t size : result.back().shape) {
      if (size < 0 || (size > 0 && elements > kMostElements / size)) throw Error(name + " has an impossible shape");
      elements *= size;
    }
  }
  return result;
}

void check(const Preprocessing& how) {
  std::vector<float> numbers = {how.scale};
  numbers.insert(numbers.end(), how.mean.begin(), how.mean.end());
  numbers.insert(numbers.end(), how.std.begin(), how.std.end());
  const bool finite = std::all_of(numbers.begin(), numbers.end(), [](float x) { return std::isfinite(x); });
  if (!finite || !(how.crop_fraction > 0 && how.crop_fraction <= 1)) throw Error("preprocess: a value is impossible");
}

void read_artefact(const YAML::Node& manifest, Settings& settings) {
  const YAML::Node how = manifest["options"]["preprocess"];
  Preprocessing& pre = settings.preprocessing;
  pre.resize = value_of<std::string>(how, "resize", pre.resize);
  pre.crop_fraction = value_of<double>(how, "crop_fraction", pre.crop_fraction);
  pre.colour = value_of<std::string>(how, "colour", pre.colour);
  pre.scale = float(value_of<double>(how, "scale", 1.0 / 255));
  pre.mean = value_of<std::vector<float>>(how, "mean", pre.mean);
  pre.std = value_of<std::vector<float>>(how, "std", pre.std);
  pre.layout = value_of<std::string>(how, "layout", pre.layout);
  check(pre);
  settings.inputs = ports(manifest["inputs"], manifest["runtime"]["names"]);
  settings.outputs = ports(manifest["outputs"], manifest["runtime"]["names"]);
  if (settings.inputs.size() != 1) throw Error("the network has several inputs, pictures feed one");
  const std::string facts = settings.artefact + "/engine.json";
  if (std::ifstream(facts).good()) {
    settings.tensorrt = load(facts)["tensorrt"].as<std::string>();
    settings.sm = load(facts)["sm"].as<int>();
  }
}

}  // namespace

Settings read_settings(int count, char** values) {
  Settings settings;
  const YAML::Node given = flags(count, values);
  YAML::Node all(YAML::NodeType::Map), file(YAML::NodeType::Map);
  const std::string path = value_of<std::string>(given, "settings", "");
  if (!path.empty()) file = load(path);
  settings.artefact = value_of<std::string>(given, "artefact", value_of<std::string>(file, "artefact", "."));
  const std::string manifest_path = settings.artefact + "/manifest.json";
  detail::check_file(detail::sums(settings.artefact), settings.artefact, "manifest.json");
  try {
    const YAML::Node manifest = load(manifest_path);
    const YAML::Node preset = manifest["options"]["decoder"];  // null where none was given
    if (preset.IsDefined() && preset.IsScalar() && !is_record(preset.as<std::string>()))
      merge(all, decoder_of(preset.as<std::string>()), manifest_path);
    read_artefact(manifest, settings);
  } catch (const YAML::Exception& error) {
    throw Error(manifest_path + " is damaged: " + error.what());
  }
  try {
    if (!path.empty()) merge(all, file, path);
    for (const auto& entry : given)
      if (entry.first.as<std::string>() != "settings") all[entry.first.as<std::string>()] = entry.second;
    if (given["decoder"]) merge(all, decoder_of(given["decoder"].as<std::string>()), "--decoder");
    settings.source = value_of<std::string>(all, "source", "");
    settings.output = value_of<std::string>(all, "output", "");
    settings.inputs_to = value_of<std::string>(all, "inputs_to", "");
    settings.outputs_from = value_of<std::string>(all, "outputs_from", "");
    settings.show = value_of<bool>(all, "show", false);
    settings.decoder = decoder(all);
  } catch (const YAML::Exception& error) {
    throw Error((path.empty() ? "options" : path) + ": " + error.what());
  }
  if (settings.source.empty()) throw Error("no SOURCE was given: a picture, a folder or camera:0; see --help");
  return settings;
}

}  // namespace edgec
