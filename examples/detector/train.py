"""Train the demo detector on rendered pictures and export it: `python train.py --output detector.onnx`."""

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from dataset import CLASSES, Sample, split
from export import export
from loss import detection_loss
from model import Detector
from torch import Tensor, nn

WARMUP = 0.05  # of all steps
FINAL_RATE = 0.02  # of the peak learning rate
EMA_HORIZON = 500  # steps
MAX_OBJECTS = 8  # a picture, for padding


def main() -> None:
    """Train, resuming from the checkpoint next to the output where there is one, and export."""
    options = _parse()
    samples = split("train", options.pictures, processes=options.threads)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = Detector(len(CLASSES), options.width, options.head_width, options.head)
    model = model.to(memory_format=torch.channels_last)
    print(f"{_parameters(model.backbone):,} parameters in the backbone, {_parameters(model.head):,} in the head")
    averaged = train(model, samples, options)
    export(averaged, options.output)
    print(f"wrote {options.output}, {options.output.stat().st_size:,} bytes")


def train(model: Detector, samples: list[Sample], options: argparse.Namespace) -> Detector:
    """Train `model` in place by AdamW, a warm-up and a cosine; return the moving average of its weights."""
    averaged = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(_parameter_groups(model, options.decay), lr=options.rate)
    checkpoint = options.output.with_suffix(".pt")
    first_epoch = _resume(checkpoint, model, averaged, optimizer)
    epoch_steps = len(samples) // options.batch
    for epoch in range(first_epoch, options.epochs):
        start, losses = time.monotonic(), []
        model.train()
        # Seeded by the epoch, so that a resumed run sees the pictures of an uninterrupted one.
        rng = np.random.default_rng([options.seed, epoch])
        order = rng.permutation(len(samples))[: epoch_steps * options.batch].reshape(epoch_steps, -1)
        for number, chosen in enumerate(order):
            step = epoch * epoch_steps + number
            for group in optimizer.param_groups:
                group["lr"] = options.rate * _rate_factor(step, options.epochs * epoch_steps)
            images, boxes, labels = _collate([samples[index] for index in chosen], rng)
            loss = detection_loss(model(images), boxes, labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
            optimizer.step()
            _average(averaged, model, step)
            losses.append(loss.item())
        _save(checkpoint, epoch + 1, model, averaged, optimizer)
        seconds = time.monotonic() - start
        print(f"epoch {epoch + 1}/{options.epochs}: loss {np.mean(losses):.3f}, {seconds:.0f} s", flush=True)
    return averaged


def _collate(samples: list[Sample], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return float32 [N, 3, H, W] images in 0..1 with permuted or inverted colours, padded boxes and labels."""
    pictures = np.stack([sample.picture[..., rng.permutation(3)] for sample in samples])
    inverted = rng.random(len(samples)) < 0.5
    pictures[inverted] = 255 - pictures[inverted]
    boxes = torch.zeros(len(samples), MAX_OBJECTS, 4)
    labels = torch.full((len(samples), MAX_OBJECTS), -1)
    for row, sample in enumerate(samples):
        boxes[row, : len(sample.boxes)] = torch.from_numpy(sample.boxes)
        labels[row, : len(sample.labels)] = torch.from_numpy(sample.labels)
    # A transposed NHWC array is what PyTorch calls channels_last.
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, boxes, labels


def _rate_factor(step: int, steps: int) -> float:
    """Return the share of the peak learning rate at `step`: a linear warm-up, then half a cosine."""
    warmup = WARMUP * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    return FINAL_RATE + (1 - FINAL_RATE) * cosine


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, step: int) -> None:
    """Move the averaged weights and statistics towards the model's, faster at the start."""
    rate = max(1 / EMA_HORIZON, 1 / (step / 10 + 1))
    for mean, value in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, rate)


def _parameter_groups(model: nn.Module, decay: float) -> list[dict]:
    """Exempt biases and batch normalization from weight decay."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _save(path: Path, epoch: int, *parts: nn.Module | torch.optim.Optimizer) -> None:
    torch.save({"epoch": epoch, "parts": [part.state_dict() for part in parts]}, path)


def _resume(path: Path, *parts: nn.Module | torch.optim.Optimizer) -> int:
    """Restore `parts` from a checkpoint and return the epoch to go on with, 0 without one."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for part, state in zip(parts, saved["parts"], strict=True):
        part.load_state_dict(state)
    return saved["epoch"]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("detector.onnx"), help="ONNX file; a .pt lies next to it")
    parser.add_argument("--head", choices=("separable", "standard"), default="separable")
    parser.add_argument("--width", type=float, default=0.25, help="factor on the filters of the backbone")
    parser.add_argument("--head-width", type=float, default=0.375, help="factor on the filters of the head")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--decay", type=float, default=0.02, help="weight decay")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
