// What to run on what: the artefact's manifest, a YAML file, and flags, the later ones first.
#pragma once

#include <string>
#include <vector>

#include "decoder.hpp"
#include "preprocess.hpp"

namespace edgec {

// One input or output: `name` in the network, `bound` in the engine.
struct Binding {
  std::string name, bound, dtype;
  std::vector<int64_t> shape;
};

inline bool holds_integers(const std::string& dtype) { return dtype.compare(0, 3, "int") == 0 || dtype.compare(0, 4, "uint") == 0; }

struct Settings {
  std::string artefact = ".";
  std::string source;           // a picture, a folder, or camera:0
  std::string output;           // folder for drawn pictures
  std::string inputs_to;        // folder for preprocessed inputs; nothing is run then
  std::string outputs_from;     // folder with outputs to decode; nothing is run then
  bool show = false;            // in a window
  bool json = false;            // a line of JSON a picture
  bool times = false;           // say at the end how long the stages took
  bool latency = false;         // one picture at a time
  int64_t limit = 0;            // of pictures; 0: all
  int threads = 0;              // of a CPU board; 0: as compiled
  Decoder decoder;
  // Of the manifest:
  Preprocessing preprocessing;
  std::vector<Binding> inputs, outputs;
  std::string tensorrt;  // version the engine was built with, of engine.json; empty where there is no engine
  int sm = 0;            // compute capability it was built for
};

// Reads flags, the YAML file they name and the artefact; prints the usage and ends the program for --help.
// `home` is the artefact where none is given.
Settings read_settings(int count, char** values, const std::string& home);

}  // namespace edgec
