"""YOLOv3 on MobileNetV1 in PyTorch, with a standard or a depthwise-separable head."""

from typing import Literal

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)  # pixels of one cell of each output
ANCHORS = (  # pixels, width and height, three for each stride: k-means of the training boxes
    ((16.0, 17.0), (20.0, 21.0), (24.0, 26.0)),
    ((29.0, 31.0), (34.0, 38.0), (39.0, 36.0)),
    ((41.0, 46.0), (49.0, 50.0), (60.0, 62.0)),
)
BLOCKS = (  # name, filters at width 1 and stride of the 13 depthwise-separable blocks
    ("conv2_1", 64, 1),
    ("conv2_2", 128, 2),
    ("conv3_1", 128, 1),
    ("conv3_2", 256, 2),
    ("conv4_1", 256, 1),
    ("conv4_2", 512, 2),
    ("conv5_1", 512, 1),
    ("conv5_2", 512, 1),
    ("conv5_3", 512, 1),
    ("conv5_4", 512, 1),
    ("conv5_5", 512, 1),
    ("conv5_6", 1024, 2),
    ("conv6", 1024, 1),
)
TAPS = ("conv3_2", "conv4_2", "conv6")  # their outputs, of strides 8, 16 and 32, feed the head
OBJECT_LOGIT = -4.5  # objectness of an untrained network: about 1 % of the anchors hold an object
HEAD_FILTERS = (128, 256, 512)  # at width 1, of the narrow convolutions of each stride

Head = Literal["separable", "standard"]


class Detector(nn.Module):
    """YOLOv3-MobileNetV1: three raw maps, to be decoded outside of the network.

    Args:
        classes: how many classes each anchor scores.
        width: factor on the backbone's filters.
        head_width: factor on the head's filters.
        head: "separable" replaces the 3x3 convolutions of the head by depthwise-separable ones.
    """

    def __init__(self, classes: int, width: float = 0.25, head_width: float = 0.375, head: Head = "separable") -> None:
        super().__init__()
        self.backbone = Backbone(width)
        self.head = YoloHead(self.backbone.tap_filters, classes, head_width, head)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map float32 [N, 3, H, W] in 0..1 to a float32 [N, 3 * (5 + classes), H / s, W / s] for each stride s."""
        return self.head(self.backbone(image))


class Backbone(nn.Module):
    """MobileNetV1 without its classifier, returning the outputs of `TAPS`."""

    def __init__(self, width: float) -> None:
        super().__init__()
        filters = _scaled(32, width)
        self.conv1 = conv_bn(3, filters, kernel=3, stride=2)
        tap_filters = []
        for name, full_filters, stride in BLOCKS:
            inputs, filters = filters, _scaled(full_filters, width)
            self.add_module(name, separable(inputs, filters, stride))
            if name in TAPS:
                tap_filters.append(filters)
        self.tap_filters = tuple(tap_filters)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of strides 8, 16 and 32."""
        x, taps = self.conv1(image), []
        for name, _, _ in BLOCKS:
            x = self.get_submodule(name)(x)
            if name in TAPS:
                taps.append(x)
        return taps


class YoloHead(nn.Module):
    """The YOLOv3 head: from the coarsest map up, five convolutions, a prediction, and a route to the next finer map."""

    def __init__(self, tap_filters: tuple[int, ...], classes: int, width: float, head: Head) -> None:
        super().__init__()
        routed = 0
        for stride, taps, full_filters in reversed(list(zip(STRIDES, tap_filters, HEAD_FILTERS, strict=True))):
            narrow = _scaled(full_filters, width)
            if routed:
                self.add_module(f"route_{stride}", conv_bn(routed, routed // 2, kernel=1))
            self.add_module(f"neck_{stride}", _five_convolutions(taps + routed // 2, narrow, head))
            self.add_module(f"tip_{stride}", _conv3x3(narrow, 2 * narrow, head))
            self.add_module(f"predict_{stride}", _prediction(2 * narrow, classes))
            routed = narrow
        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")

    def forward(self, taps: list[Tensor]) -> tuple[Tensor, ...]:
        """Map the features of strides 8, 16 and 32 to the raw predictions in the same order."""
        outputs: list[Tensor] = []
        route: Tensor | None = None
        for stride, tap in reversed(list(zip(STRIDES, taps, strict=True))):
            features = tap
            if route is not None:
                upsampled = self.upsample(self.get_submodule(f"route_{stride}")(route))
                features = torch.cat([upsampled, tap], dim=1)
            route = self.get_submodule(f"neck_{stride}")(features)
            tip = self.get_submodule(f"tip_{stride}")(route)
            outputs.insert(0, self.get_submodule(f"predict_{stride}")(tip))
        return tuple(outputs)


def conv_bn(inputs: int, filters: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution without bias, batch normalization and ReLU6."""
    layers = nn.Sequential()
    conv = nn.Conv2d(inputs, filters, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    layers.add_module("conv", conv)
    layers.add_module("norm", nn.BatchNorm2d(filters))
    layers.add_module("relu", nn.ReLU6(inplace=True))
    return layers


def separable(inputs: int, filters: int, stride: int = 1) -> nn.Sequential:
    """Return a depthwise 3x3 convolution followed by a pointwise one, each with batch normalization and ReLU6."""
    layers = nn.Sequential()
    layers.add_module("depthwise", conv_bn(inputs, inputs, kernel=3, stride=stride, groups=inputs))
    layers.add_module("pointwise", conv_bn(inputs, filters, kernel=1))
    return layers


def _conv3x3(inputs: int, filters: int, head: Head) -> nn.Sequential:
    return separable(inputs, filters) if head == "separable" else conv_bn(inputs, filters, kernel=3)


def _five_convolutions(inputs: int, narrow: int, head: Head) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(inputs, narrow, kernel=1),
        _conv3x3(narrow, 2 * narrow, head),
        conv_bn(2 * narrow, narrow, kernel=1),
        _conv3x3(narrow, 2 * narrow, head),
        conv_bn(2 * narrow, narrow, kernel=1),
    )


def _prediction(inputs: int, classes: int) -> nn.Conv2d:
    """Return the last convolution, which starts out expecting few objects."""
    conv = nn.Conv2d(inputs, len(ANCHORS[0]) * (5 + classes), kernel_size=1)
    with torch.no_grad():
        conv.weight.mul_(0.1)
        bias = conv.bias.zero_().view(len(ANCHORS[0]), 5 + classes)
        bias[:, 4] = OBJECT_LOGIT
    return conv


def _scaled(filters: int, width: float) -> int:
    """Scale a number of filters, rounded to a multiple of 8."""
    return max(8, round(filters * width / 8) * 8)
