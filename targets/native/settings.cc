#include "settings.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "node.hpp"

namespace edgec {
namespace {

const char kUsage[] =
    "usage: edgec-detect [options] [SOURCE]\n"
    "  SOURCE               a picture, a folder of pictures, a video (without OpenCV: .avi of JPEG frames), camera:0\n"
    "  --settings FILE      YAML file; keys are the flags below without dashes, and the settings of the decoder\n"
    "  --artefact DIR       the artefact (default: the program's folder if it is one, else the working folder)\n"
    "  --threads N          number of worker threads, on CPU boards (default: as compiled)\n"
    "  --decoder NAME[,K=V] decoder of the outputs, instead of the artefact's; its settings, e.g. classes, are flags\n"
    "                       too; an unknown NAME lists all decoders\n"
    "  --min_score X        minimum score of objects (default 0.25)\n"
    "  --max_overlap X      maximum overlap (IoU) of two objects of a class (default 0.5)\n"
    "  --output DIR         write each picture there, with its results drawn on it\n"
    "  --show               show each picture in a window (needs OpenCV)\n"
    "  --json               print a line of JSON for each picture\n"
    "  --times              print at the end how long each stage took: median, p90, p99 in ms, and pictures per second\n"
    "  --latency            process one picture at a time, so that each result comes early; without it, the next pictures\n"
    "                       are read and prepared while the network runs, which gives more pictures per second\n"
    "  --limit N            stop after this number of pictures\n"
    "  --inputs_to DIR      write the preprocessed inputs there as raw floats; run nothing\n"
    "  --outputs_from DIR   decode the raw outputs there; run nothing\n"
    "The exit code is 0 on success, 2 for bad input or a missing engine.\n";

constexpr int kLongestSide = 1 << 16;                 // of a network's input, in pixels
constexpr int64_t kMostElements = int64_t{1} << 31;  // of an input or output

const std::set<std::string> kProgram = {"source", "json", "artefact", "output", "show", "inputs_to", "outputs_from", "threads",
                                        "times", "latency", "limit", "input"};  // the last: for trainers, in a decoder's record
// What an output is for; its value is a name.
const std::set<std::string> kRoles = {"output", "boxes", "scores", "labels", "count", "heatmap", "sizes", "offsets", "priors",
                                      "prototypes"};
const std::set<std::string> kReading = {
    "decoder", "classes", "min_score", "max_overlap", "max_detections", "strides", "outputs", "variances", "logits", "activation",
    "background", "centred", "shares", "rows_first", "masks", "points", "values", "threshold", "unclip_ratio", "characters",
    "range", "colour"};

Node load(const std::string& path) { return parse(detail::read_text(path), path); }

// Puts the settings of a decoder into `reading`, those of the program into `program`, where there may be some.
void merge(const Node& more, const std::string& source, Node& reading, Node* program = nullptr) {
  if (more.kind() != Node::Kind::map) throw Error(source + ": it is not a list of key: value");
  for (const auto& entry : more.entries()) {
    if (program && kProgram.count(entry.first)) program->set(entry.first, entry.second);
    else if (kReading.count(entry.first) || kRoles.count(entry.first)) reading.set(entry.first, entry.second);
    else throw Error(source + ": " + entry.first + " is not a setting; see --help");
  }
}

// The form of `edgec compile --decoder`: yolox,strides=8/16/32,min_score=0.1
Node decoder_of(const std::string& given) {
  Node node(Node::Kind::map);
  size_t start = 0;
  while (start <= given.size()) {
    const size_t comma = std::min(given.find(',', start), given.size());
    const std::string item = given.substr(start, comma - start);
    const size_t equals = item.find('=');
    if (start == 0) node.set("decoder", Node(item));
    else if (equals == std::string::npos) throw Error("decoder " + given + ": " + item + " is not key=value");
    else {
      std::string value = item.substr(equals + 1);
      if (value.find('/') != std::string::npos) {
        for (char& c : value) c = c == '/' ? ',' : c;
        value = "[" + value + "]";
      }
      node.set(item.substr(0, equals), parse_value(value, "decoder " + given));
    }
    start = comma + 1;
  }
  return node;
}

Node flags(int count, char** values) {
  Node given(Node::Kind::map);
  for (int i = 1; i < count; ++i) {
    const std::string flag = values[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (flag.compare(0, 2, "--") != 0) {
      given.set("source", Node(flag));
    } else if (flag == "--show" || flag == "--json" || flag == "--times" || flag == "--latency") {
      given.set(flag.substr(2), Node("true"));
    } else {
      const std::string key = flag.substr(2);
      const bool known = key == "settings" || kProgram.count(key) || kReading.count(key) || kRoles.count(key);
      if (!known) throw Error("unknown option " + flag + "; see --help");
      if (++i == count) throw Error(flag + " needs a value; see --help");
      const bool list = key == "classes" || key == "strides" || key == "variances";
      given.set(key, list ? parse_value(values[i], flag) : Node(values[i]));
    }
  }
  return given;
}

void check_stride(int stride) {
  if (stride < 1 || stride > kLongestSide) throw Error("strides must be at least 1, but one is " + std::to_string(stride));
}

void check_choice(const std::string& key, const std::string& given, const std::vector<std::string>& choices) {
  std::string all;
  for (const std::string& choice : choices) {
    if (choice == given) return;
    all += (all.empty() ? "" : ", ") + choice;
  }
  throw Error(key + ": " + given + " is not one of " + all);
}

std::vector<Scale> scales(const Node& list) {
  std::vector<Scale> result;
  for (const Node& map : list.items()) {
    Scale scale{map["name"].as<std::string>(), map["stride"].as<int>(), {}};
    for (const Node& anchor : map["anchors"].items()) {
      const std::vector<float> sides = anchor.as<std::vector<float>>();
      if (sides.size() != 2) throw Error("outputs: an anchor needs a width and a height");
      scale.anchors.push_back({sides[0], sides[1]});
    }
    check_stride(scale.stride);
    result.push_back(scale);
  }
  return result;
}

void check_numbers(const Decoder& decoder, const Node& node) {
  for (const int stride : decoder.strides) check_stride(stride);
  if (decoder.variances.size() != 2) throw Error("variances: two numbers are needed, one for the centre and one for the size");
  for (const float number : {decoder.min_score, decoder.max_overlap, decoder.threshold, decoder.unclip_ratio})
    if (std::isnan(number)) throw Error("a threshold is not a number");
  for (const int count : {decoder.masks, decoder.points, decoder.values})
    if (count < 1 || count > kLongestSide) throw Error("masks, points and values must be at least 1");
  if (decoder.values > 3) throw Error("values: a key point has 2 or 3 values");
  if (node["min_score"] && !gives_objects(decoder.kind))
    throw Error("min_score is for objects, but decoder " + decoder.kind + " returns none");
}

Decoder decoder(const Node& node) {
  Decoder result;
  result.kind = node.get<std::string>("decoder", node["outputs"] ? "yolov3" : "");  // as edgec reads a record
  if (result.kind.empty()) {
    if (!node.entries().empty()) throw Error(node.entries()[0].first + ": the artefact has no decoder; give one by --decoder");
    return result;
  }
  const std::string& kind = result.kind;
  check_choice("decoder", kind, decoder_kinds());
  const std::set<std::string> choosing = {"boxes", "centernet", "detr", "dbnet"};  // their boxes do not compete
  result.min_score = node.get<float>("min_score", kind == "dbnet" ? 0.5f : result.min_score);
  result.max_overlap = node.get<float>("max_overlap", choosing.count(kind) ? 1.f : 0.5f);
  result.max_detections = node.get<int>("max_detections", kind == "detr" ? 300 : kind == "dbnet" ? 1000 : 100);
  result.classes = node.get<std::vector<std::string>>("classes", {});
  result.strides = node.get<std::vector<int>>("strides", result.strides);
  result.variances = node.get<std::vector<float>>("variances", result.variances);
  result.logits = node.get<bool>("logits", false);
  result.centred = node.get<bool>("centred", false);
  result.shares = node.get<bool>("shares", false);
  result.rows_first = node.get<bool>("rows_first", false);
  result.activation = node.get<std::string>("activation", result.activation);
  check_choice("activation", result.activation, {"none", "sigmoid", "softmax"});
  if (node["background"]) result.background = node["background"].as<bool>();
  result.masks = node.get<int>("masks", result.masks);
  result.points = node.get<int>("points", result.points);
  result.values = node.get<int>("values", result.values);
  result.threshold = node.get<float>("threshold", kind == "dbnet" ? 0.3f : -1.f);
  result.unclip_ratio = node.get<float>("unclip_ratio", result.unclip_ratio);
  result.characters = node.get<std::vector<std::string>>("characters", {});
  result.range = node.get<std::string>("range", kind == "depth" ? "auto" : "unit");
  check_choice("range", result.range, {"unit", "byte", "symmetric", "auto"});
  result.colour = node.get<std::string>("colour", result.colour);
  check_choice("colour", result.colour, {"rgb", "bgr"});
  result.scales = scales(node["outputs"]);
  for (const Node& prior : node["priors"].items())
    for (const float side : prior.as<std::vector<float>>()) result.priors.push_back(side);
  for (const std::string& role : kRoles)
    if (node[role].kind() == Node::Kind::scalar) result.names[role] = node[role].as<std::string>();
  check_numbers(result, node);
  return result;
}

std::vector<Binding> bindings(const Node& list, const Node& names) {
  std::vector<Binding> result;
  for (const Node& entry : list.items()) {
    const std::string name = entry["name"].as<std::string>();
    result.push_back({name, names.get<std::string>(name, name), entry["dtype"].as<std::string>(),
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
  if (!finite || !(how.crop_fraction > 0 && how.crop_fraction <= 1)) throw Error("preprocess: a value is out of range");
}

void read_artefact(const Node& manifest, Settings& settings) {
  const Node& how = manifest["options"]["measuring"]["preprocess"];
  if (how.kind() != Node::Kind::map) throw Error("it does not describe the preprocessing of pictures");
  Preprocessing& pre = settings.preprocessing;
  pre.resize = how.get<std::string>("resize", pre.resize);
  pre.crop_fraction = how.get<double>("crop_fraction", pre.crop_fraction);
  pre.colour = how.get<std::string>("colour", pre.colour);
  pre.scale = float(how.get<double>("scale", 1.0 / 255));
  pre.mean = how.get<std::vector<float>>("mean", pre.mean);
  pre.std = how.get<std::vector<float>>("std", pre.std);
  pre.layout = how.get<std::string>("layout", pre.layout);
  check(pre);
  settings.inputs = bindings(manifest["inputs"], manifest["runtime"]["names"]);
  settings.outputs = bindings(manifest["outputs"], manifest["runtime"]["names"]);
  if (settings.inputs.size() != 1)
    throw Error("pictures can feed one input only, but the network has " + std::to_string(settings.inputs.size()));
  const std::string facts = settings.artefact + "/engine.json";
  if (std::ifstream(facts).good()) {
    settings.tensorrt = load(facts)["tensorrt"].as<std::string>();
    settings.sm = load(facts)["sm"].as<int>();
  }
}

}  // namespace

Settings read_settings(int count, char** values, const std::string& home) {
  Settings settings;
  const Node given = flags(count, values);
  Node all(Node::Kind::map), file(Node::Kind::map);
  const std::string path = given.get<std::string>("settings", "");
  if (!path.empty()) file = load(path);
  settings.artefact = given.get<std::string>("artefact", file.get<std::string>("artefact", home));
  const std::string manifest_path = settings.artefact + "/manifest.json";
  detail::check_file(detail::sums(settings.artefact), settings.artefact, "manifest.json");
  const Node manifest = load(manifest_path);
  Node reading(Node::Kind::map);
  std::string known;
  try {
    const Node& application = manifest["application"];  // null if the meaning of the outputs is unknown
    if (application) {
      known = application["decoder"].as<std::string>();
      merge(application["settings"], "application", reading);
      reading.set("decoder", Node(known));
    }
    read_artefact(manifest, settings);
  } catch (const Error& error) {
    throw Error(manifest_path + " is damaged: " + error.what());
  }
  try {
    Node mine(Node::Kind::map);  // of the decoder, what is said beside the artefact
    if (!path.empty()) merge(file, path, mine, &all);
    for (const auto& entry : given.entries())
      if (entry.first != "settings") (kProgram.count(entry.first) ? all : mine).set(entry.first, entry.second);
    if (given["decoder"]) merge(decoder_of(given["decoder"].as<std::string>()), "--decoder", mine);
    if (mine["decoder"] && mine["decoder"].as<std::string>() != known) {  // another one: only the names of classes stay
      const Node classes = reading["classes"];
      reading = Node(Node::Kind::map);
      if (classes) reading.set("classes", classes);
    }
    for (const auto& entry : mine.entries()) reading.set(entry.first, entry.second);
    settings.source = all.get<std::string>("source", "");
    settings.output = all.get<std::string>("output", "");
    settings.inputs_to = all.get<std::string>("inputs_to", "");
    settings.outputs_from = all.get<std::string>("outputs_from", "");
    settings.show = all.get<bool>("show", false);
    settings.json = all.get<bool>("json", false);
    settings.times = all.get<bool>("times", false);
    settings.latency = all.get<bool>("latency", false);
    settings.limit = all.get<int64_t>("limit", 0);
    settings.threads = all.get<int>("threads", 0);
    settings.decoder = decoder(reading);
  } catch (const Error& error) {
    throw Error((path.empty() ? "options" : path) + ": " + error.what());
  }
  if (settings.source.empty()) throw Error("no SOURCE was given: a picture, a folder, a video or camera:0; see --help");
  return settings;
}

}  // namespace edgec
