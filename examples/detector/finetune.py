"""Train a pruned or a fixed-point detector further and write it back: `python finetune.py pruned.onnx`.

With `--fixed-point BITS N_W N_X` it trains as it will run: weights clipped to +-2^N_W and rounded to BITS, what
convolutions read likewise to +-2^N_X; gradients pass the rounding as if it were not there. Weights are written as they
were trained, not rounded.
"""

import argparse
from pathlib import Path

import onnx
import torch
from dataset import split
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from train import train

WEIGHTED = "Conv"


class OnnxNetwork(nn.Module):
    """The network in an ONNX file of convolutions, clips, nearest resizing and concatenation, its weights trainable.

    Args:
        graph: As `edgec prune` writes it: batch normalization is folded, so there is none to train.
        fixed_point: Bits, and the exponents of two at which weights and the inputs of convolutions are clipped.
    """

    def __init__(self, graph: onnx.GraphProto, fixed_point: tuple[int, int, int] | None = None) -> None:
        super().__init__()
        self._fixed_point = fixed_point
        self._nodes = [(node, _attributes(node)) for node in graph.node]
        self._input = graph.input[0].name
        self._outputs = [output.name for output in graph.output]
        trained = {name for node in graph.node if node.op_type == WEIGHTED for name in node.input[1:]}
        self._keys = {tensor.name: f"t{number}" for number, tensor in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            if tensor.name in trained:
                self.register_parameter(self._keys[tensor.name], nn.Parameter(value))
            else:
                self.register_buffer(self._keys[tensor.name], value)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map float32 [N, 3, H, W] in 0..1 to the raw maps."""
        values = {name: getattr(self, key) for name, key in self._keys.items()}
        values[self._input] = image
        for node, attributes in self._nodes:
            inputs = [values[name] if name else None for name in node.input]
            if self._fixed_point is not None and node.op_type == WEIGHTED:
                bits, n_w, n_x = self._fixed_point
                with torch.no_grad():  # a weight that was outside has to learn again
                    inputs[1].clamp_(-(2.0**n_w), 2.0**n_w - 2.0 ** (n_w + 1 - bits))
                inputs[:2] = rounded(inputs[0], n_x, bits), rounded(inputs[1], n_w, bits)
            values[node.output[0]] = OPERATORS[node.op_type](inputs, attributes)
        return tuple(values[name] for name in self._outputs)

    def write_to(self, graph: onnx.GraphProto) -> None:
        """Put the trained weights in the place of those in `graph`."""
        for tensor in graph.initializer:
            array = getattr(self, self._keys[tensor.name]).detach().numpy()
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def rounded(x: Tensor, n: int, bits: int) -> Tensor:
    """Return x in `bits` bits, n of them before the binary point: q = round(x 2^k), k = bits - 1 - n.

    Its gradient is that of clipping alone ("straight through", Bengio et al., 2013).
    """
    scale = 2.0 ** (bits - 1 - n)
    clipped = torch.clamp(x, -(2.0**n), 2.0**n - 1 / scale)
    return clipped + (torch.round(clipped * scale) / scale - clipped).detach()


def _conv(inputs: list[Tensor | None], attributes: dict) -> Tensor:
    image, weight, bias = (*inputs, None)[:3]
    pads = attributes.get("pads", (0, 0, 0, 0))
    if pads[:2] != pads[2:]:
        image, pads = functional.pad(image, (pads[1], pads[3], pads[0], pads[2])), (0, 0)
    return functional.conv2d(
        image,
        weight,
        bias,
        stride=attributes.get("strides", (1, 1)),
        padding=pads[:2],
        dilation=attributes.get("dilations", (1, 1)),
        groups=attributes.get("group", 1),
    )


def _clip(inputs: list[Tensor | None], _: dict) -> Tensor:
    return torch.clamp(inputs[0], inputs[1].item(), inputs[2].item())


def _resize(inputs: list[Tensor | None], attributes: dict) -> Tensor:
    if attributes.get("mode", b"nearest") != b"nearest":
        raise ValueError("only nearest resizing is known here")
    return functional.interpolate(inputs[0], scale_factor=tuple(inputs[2].tolist()[2:]), mode="nearest")


def _concat(inputs: list[Tensor | None], attributes: dict) -> Tensor:
    return torch.cat(inputs, dim=attributes["axis"])


OPERATORS = {"Conv": _conv, "Clip": _clip, "Resize": _resize, "Concat": _concat}


def _attributes(node: onnx.NodeProto) -> dict:
    if node.op_type not in OPERATORS:
        raise ValueError(f"{node.name}: {node.op_type} is not known here")
    values = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def main() -> None:
    """Fine-tune, resuming from the checkpoint next to the output where there is one, and write the ONNX file."""
    options = _parse()
    model = onnx.load(options.model)
    network = OnnxNetwork(model.graph, options.fixed_point)
    samples = split("train", options.pictures, processes=options.threads)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    train(network, samples, options).write_to(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, options.output)
    print(f"wrote {options.output}, {options.output.stat().st_size:,} bytes")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("model", type=Path, help="ONNX file that `edgec prune` wrote")
    parser.add_argument("--output", type=Path, default=Path("tuned.onnx"), help="ONNX file; a .pt lies next to it")
    parser.add_argument("--fixed-point", type=int, nargs=3, metavar=("BITS", "N_W", "N_X"), help="train as that")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-4, help="peak learning rate")
    parser.add_argument("--decay", type=float, default=0.0, help="weight decay")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
