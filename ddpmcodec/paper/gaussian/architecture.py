"""The exact denoiser: a convolutional network whose result is the same bits on every machine.

The topology is written once, over a set of operations (`Operations`): eager PyTorch (`eager`), the readable reference
that also trains with straight-through rounding, and fused CPU kernels (`fused`). Convolutions see
integers in [-127, 127] on both sides, so their sums are exact in any order; everything else is elementwise IEEE
arithmetic.

A U-net of two resolutions on 2x2 patches: the residual stream holds integers (1/64 of a unit), and every branch is
normalise - activate - quantise - 3x3 convolution - activate - quantise - 3x3 convolution.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from ddpmcodec.paper.gaussian.features import PER_PIXEL
from ddpmcodec.paper.gaussian.neighbours import BLENDS, NEIGHBOUR_OFFSETS, PIXEL_OUTPUTS

X = TypeVar("X")  # a residual stream
Q = TypeVar("Q")  # quantised activations
Y = TypeVar("Y")  # what a convolution returns
PATCH = 2
OUTPUTS_PER_PIXEL = PIXEL_OUTPUTS + BLENDS + len(NEIGHBOUR_OFFSETS)  # numbers that the network returns for a pixel
MULTIPLE = 2 * PATCH  # image sides are padded to a multiple of this


@dataclass(frozen=True)
class Architecture:
    """Widths at half and quarter resolution, and residual blocks going down, at the bottom, and going up."""

    width: int = 96
    inner_width: int = 192
    down: int = 2
    bottom: int = 4
    up: int = 4

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    def blocks(self) -> list[tuple[str, int]]:
        """(name, channels) of every residual block, in the order they run."""
        return (
            [(f"down{i}", self.width) for i in range(self.down)]
            + [(f"bottom{i}", self.inner_width) for i in range(self.bottom)]
            + [(f"up{i}", self.width) for i in range(self.up)]
        )

    def convolutions(self) -> dict[str, tuple[int, int, int]]:
        """Name -> (output channels, input channels, filter size) of every convolution."""
        a, b = self.width, self.inner_width
        shapes = {"enter": (a, PER_PIXEL * PATCH * PATCH, 3), "descend": (b, a, 2), "ascend": (4 * a, b, 1)}
        shapes["leave"] = (OUTPUTS_PER_PIXEL * PATCH * PATCH, a, 1)
        for name, channels in self.blocks():
            shapes[f"{name}.conv1"] = shapes[f"{name}.conv2"] = (channels, channels, 3)
        return shapes

    def norms(self) -> dict[str, int]:
        """Name -> channels of every normalisation."""
        return {
            **{f"{name}.norm": channels for name, channels in self.blocks()},
            "descend.norm": self.width,
            "ascend.norm": self.inner_width,
            "leave.norm": self.width,
        }


class Operations(Protocol[X, Q, Y]):
    """What a backend supplies. `name` picks the layer's parameters."""

    def conv(self, name: str, q: Q) -> Y: ...
    def head(self, name: str, q: Q) -> Any: ...
    def start(self, name: str, y: Y) -> X: ...
    def add(self, name: str, x: X, y: Y) -> X: ...
    def add_up(self, name: str, x: X, y: Y) -> X: ...
    def norm_act(self, name: str, x: X) -> Q: ...
    def act(self, name: str, y: Y) -> Q: ...


def denoise(architecture: Architecture, ops: Operations[X, Q, Y], features: Q) -> Any:
    """Run the network, patches to patches: features [N, 4 PER_PIXEL, H/2, W/2] to OUTPUTS_PER_PIXEL numbers a pixel."""

    def block(name: str, x: X) -> X:
        y = ops.conv(f"{name}.conv1", ops.norm_act(f"{name}.norm", x))
        return ops.add(f"{name}.conv2", x, ops.conv(f"{name}.conv2", ops.act(f"{name}.conv1", y)))

    x = ops.start("enter", ops.conv("enter", features))
    for i in range(architecture.down):
        x = block(f"down{i}", x)
    z = ops.start("descend", ops.conv("descend", ops.norm_act("descend.norm", x)))
    for i in range(architecture.bottom):
        z = block(f"bottom{i}", z)
    x = ops.add_up("ascend", x, ops.conv("ascend", ops.norm_act("ascend.norm", z)))
    for i in range(architecture.up):
        x = block(f"up{i}", x)
    return ops.head("leave", ops.norm_act("leave.norm", x))
