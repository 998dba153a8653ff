#!/bin/sh
# Builds, verifies and times the engine on this board. Options are passed on: ./build.sh --help
folder=$(dirname "$0")
# JetPack installs TensorRT for the system's Python; a conda or virtual environment in front of it has none.
for python in "${PYTHON:-python3}" /usr/bin/python3; do
  if "$python" -c 'import tensorrt' 2>/dev/null; then
    exec "$python" "$folder/build_engine.py" "$@"
  fi
done
command -v python3 >/dev/null || { echo "build.sh: no python3 here: sudo apt-get install python3 python3-numpy" >&2; exit 2; }
exec python3 "$folder/build_engine.py" "$@" # says what is missing
