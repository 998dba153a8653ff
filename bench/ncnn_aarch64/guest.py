"""Runs one ncnn network; executed by the emulated AArch64 Python, so it uses the standard library and ncnn alone.

`python guest.py JOB.json`; the job: param, bin, marks (library with the markers), inputs (blob: [file, shape] of raw
float32), outputs (blob: file to write), layers (blobs to count one by one, or empty: one inference is counted).
"""

import array
import ctypes
import json
import sys
from pathlib import Path

import ncnn

# What stays is fp32 arithmetic with every fp32 optimization (packing, sgemm, Winograd) as ncnn chooses them.
OFF = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage", "int8_inference")


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    net = ncnn.Net()
    net.opt.num_threads = 1
    for name in OFF:
        setattr(net.opt, "use_" + name, False)
    if net.load_param(job["param"]) or net.load_model(job["bin"]):
        sys.exit("ncnn cannot load " + job["param"])
    feeds = {blob: _mat(path, shape) for blob, (path, shape) in job["inputs"].items()}
    marks = ctypes.CDLL(job["marks"])

    def extractor(light):
        ex = net.create_extractor()
        ex.set_light_mode(light)
        for blob, mat in feeds.items():
            ex.input(blob, mat)
        return ex

    def infer():
        ex = extractor(True)
        return {blob: _checked(ex.extract(blob), blob) for blob in job["outputs"]}

    results = infer()
    for blob, path in job["outputs"].items():
        Path(path).write_bytes(memoryview(results[blob]).tobytes())
    if not job["layers"]:
        marks.mark_start()
        infer()
        marks.mark_stop()
        marks.mark_report()
        return
    ex = extractor(False)
    for blob in job["layers"]:
        marks.mark_start()
        result = ex.extract(blob, 1)  # 1: in the layout the layer left it in
        marks.mark_stop()
        marks.mark_report()
        _checked(result, blob)


def _mat(path, shape):
    values = array.array("f")
    values.frombytes(Path(path).read_bytes())
    return ncnn.Mat(memoryview(values).cast("B").cast("f", shape)).clone()


def _checked(result, blob):
    code, mat = result
    if code:
        sys.exit("ncnn fails at blob " + blob)
    return mat


main()
