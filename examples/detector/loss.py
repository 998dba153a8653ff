"""The YOLOv3 loss: GIoU of the boxes, binary cross entropy of objectness and classes."""

import torch
from model import ANCHORS, STRIDES
from torch import Tensor
from torch.nn import functional

MATCH_IOU = 0.45  # an anchor whose shape overlaps an object's by more is responsible for it, as is the best one
IGNORE_IOU = 0.6  # a prediction that overlaps an object by more is no negative
BOX_WEIGHT, OBJECT_WEIGHT, CLASS_WEIGHT = 3.0, 1.0, 1.0


def detection_loss(outputs: tuple[Tensor, ...], boxes: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a batch, a float32 scalar.

    Args:
        outputs: raw maps of the network, float32 [N, 3 * (5 + classes), H / s, W / s].
        boxes: float32 [N, M, 4] as x0 y0 x1 y1 in pixels, padded with zeros.
        labels: int64 [N, M], padded with -1.
    """
    total = outputs[0].new_zeros(())
    positives = 0
    for scale, output in enumerate(outputs):
        loss, count = _scale_loss(output, scale, boxes, labels)
        total, positives = total + loss, positives + count
    return total / max(positives, 1)


def _scale_loss(output: Tensor, scale: int, boxes: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Return the summed loss of one output and the number of its positive predictions."""
    batch, channels, height, width = output.shape
    anchors = torch.tensor(ANCHORS[scale])
    maps = output.view(batch, len(anchors), channels // len(anchors), height, width).permute(0, 1, 3, 4, 2)
    predicted = _decode(maps[..., :4], anchors, STRIDES[scale])

    picture, slot, anchor = _matches(scale, boxes, labels)
    centres = ((boxes[picture, slot, :2] + boxes[picture, slot, 2:]) / (2 * STRIDES[scale])).long()
    at = (picture, anchor, centres[:, 1].clamp(0, height - 1), centres[:, 0].clamp(0, width - 1))

    target = torch.zeros_like(maps[..., 4])
    target[at] = 1.0
    with torch.no_grad():
        overlap = _iou(predicted.flatten(1, 3)[:, :, None], boxes[:, None])[0].amax(2).view_as(target)
    weight = ((overlap < IGNORE_IOU) | (target > 0)).float()
    objectness = functional.binary_cross_entropy_with_logits(maps[..., 4], target, weight, reduction="sum")

    _, giou = _iou(predicted[at], boxes[picture, slot])
    classes = functional.one_hot(labels[picture, slot], maps.shape[-1] - 5).float()
    scores = functional.binary_cross_entropy_with_logits(maps[at][:, 5:], classes, reduction="sum")
    loss = BOX_WEIGHT * (1 - giou).sum() + OBJECT_WEIGHT * objectness + CLASS_WEIGHT * scores
    return loss, len(picture)


def _matches(scale: int, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the (picture, object, anchor) triples of one output that are responsible for an object, int64 [P] each."""
    anchors = torch.tensor(ANCHORS).flatten(0, 1)
    sides = boxes[..., 2:] - boxes[..., :2]
    inner = torch.minimum(sides[:, :, None], anchors).prod(-1)
    overlap = inner / (sides.prod(-1)[:, :, None] + anchors.prod(-1) - inner)
    chosen = (overlap > MATCH_IOU) | (overlap == overlap.amax(-1, keepdim=True))
    chosen &= (labels >= 0)[..., None]
    per_scale = len(ANCHORS[scale])
    picture, slot, anchor = chosen[..., scale * per_scale : (scale + 1) * per_scale].nonzero(as_tuple=True)
    return picture, slot, anchor


def _decode(raw: Tensor, anchors: Tensor, stride: int) -> Tensor:
    """Decode raw [N, A, H, W, 4] to boxes as x0 y0 x1 y1 in pixels."""
    height, width = raw.shape[2:4]
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = (raw[..., :2].sigmoid() + torch.stack([xs, ys], -1)) * stride
    halves = raw[..., 2:].clamp(max=4.0).exp() * anchors[:, None, None] / 2
    return torch.cat([centres - halves, centres + halves], -1)


def _iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the IoU and the generalized IoU of boxes [..., 4] as x0 y0 x1 y1."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    iou = inner / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
