"""S1 at its own scale: YOLOv3-MobileNetV1 at 608 x 608 for 20 classes: `python bench/papers/s1_full_scale.py`.

The published network from its architecture, with weights drawn at random: size and multiply-accumulates depend on the
architecture alone, and so does the time that edgec estimates for the Jetson TX2. Pruned: every group of the head by the
one ratio that leaves the published size; which ratios the source chose for its layers is not known.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import onnx
import onnx_ir as ir

from edgec.model.cost import LayerCost, layer_costs, total_cost
from edgec.model.load import load
from edgec.model.serialize import weight_bytes
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prepare import prepare
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from edgec.targets.board import load_board
from edgec.targets.tensorrt.latency import estimate_for
from tests.support.architectures import Net

SIZE, CLASSES, ANCHORS = 608, 20, 3
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
"""Filters and stride of the blocks of MobileNetV1."""
HEAD = ((32, 512), (16, 256), (8, 128))
"""Stride, and filters of the narrow convolutions of the head."""
PUBLISHED = {"standard": ("", 5.0), "separable": ("-67.9 %", 9.6), "separable, pruned": ("-78.5 %", 12.0)}
PRUNED_SIZE = 1 - 0.785


def network(*, separable: bool) -> onnx.ModelProto:
    """Return the detector with a standard or a depthwise-separable head."""
    net = Net(SIZE)
    x, taps = net.conv("image", 32, 3, 2), {}
    for number, (filters, stride) in enumerate(BLOCKS):
        x = net.conv(net.depthwise(x, 3, stride), filters)
        taps[number] = x
    features = {8: taps[3], 16: taps[5], 32: taps[12]}
    head_from = len(net.nodes)

    def wide(x: str, filters: int) -> str:
        return net.conv(net.depthwise(x), filters) if separable else net.conv(x, filters, 3)

    outputs, route = [], None
    for stride, narrow in HEAD:
        x = features[stride]
        if route is not None:
            route = net.conv(route, net.channels[route] // 2)
            scales = net.const([1, 1, 2, 2])
            x = net.concat(net.op("Resize", route, "", scales, channels=net.channels[route], mode="nearest"), x)
        for _ in range(2):
            x = wide(net.conv(x, narrow), 2 * narrow)
        route = net.conv(x, narrow)
        outputs.append(net.conv(wide(route, 2 * narrow), ANCHORS * (5 + CLASSES), act=None, bn=False))
    for node in net.nodes[head_from:]:
        node.name = f"/head/{node.name}"
    return net.model(*outputs)


def stored(model: onnx.ModelProto) -> int:
    """Return the bytes of all weights, those of batch norms as frameworks store them."""
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)


def pruned(model: ir.Model, size: float) -> tuple[ir.Model, float]:
    """Return the network whose head is pruned by L1, uniformly, to at most `size` bytes, and the ratio."""
    options = PruneOptions(ratio=0.5, criterion="l1", include=("/head/*",), repair=False, multiple=8)
    ranked = RankedChannels.of(model, options, None)
    for percent in range(1, 71):
        plan = ranked.plan(dict.fromkeys((group.name for group in ranked.groups), percent / 100), options.multiple)
        small = SliceChannels(plan)(model.clone()).model
        if weight_bytes(small) <= size:
            return small, percent / 100
    raise ValueError("the head alone does not reach that size")


def main() -> None:
    """Print the table."""
    files = {"standard": network(separable=False), "separable": network(separable=True)}
    models = {name: prepare(fix_shapes(load(file).model, {})) for name, file in files.items()}
    files_mb = {name: stored(file) / 1e6 for name, file in files.items()}
    whole = weight_bytes(models["standard"])
    models["separable, pruned"], ratio = pruned(models["separable"], PRUNED_SIZE * whole)
    estimate = estimate_for(load_board("jetson-tx2"))
    assert estimate is not None
    print("| head | MB, with batch norms | MB, folded | size | published | MACs | TX2, estimate | published |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, model in models.items():
        costs: tuple[LayerCost, ...] = layer_costs(model)
        size = files_mb.get(name)
        change = weight_bytes(model) / whole - 1 if size is None else size / files_mb["standard"] - 1
        mb = "" if size is None else f"{size:.2f}"
        seconds = sum(estimate(costs, "fp32"))
        what = f"{weight_bytes(model) / 1e6:.2f} | {change:+.1%} | {PUBLISHED[name][0]}"
        macs = f"{total_cost(costs).macs / 1e9:.1f} G"
        print(f"| {name} | {mb} | {what} | {macs} | {1 / seconds:.1f} | {PUBLISHED[name][1]} |")
    print(f"pruned by {ratio:.0%} of the channels of each group of the head; estimates are frames a second in FP32")


if __name__ == "__main__":
    main()
