"""Training positions for the context model. As states of the schedule are functions of the image, any positions of any
step can be drawn without coding anything. A replay buffer for each network keeps positions of many images.

All of it runs on the device that the images lie on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle

import torch
from torch import Tensor

from ddpmcodec.channels import gamut
from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.networks.context.shape import BAND_KINDS, band_kind, situation
from ddpmcodec.training.context import Positions
from ddpmcodec.training.step_states import StepState, estimates, narrowed, step_states, unfinished
from ddpmcodec.training.windows import gather_by_kernel, gather_many
from ddpmcodec.transform.cells import EXACT

FEWEST = 128  # positions of an image that are taken of the first band, if it has them; of the second half as many, ...
FIRST = 20  # draws that a buffer holds before the first of them


def positions_of(state: StepState, at: Tensor) -> dict[str, Tensor]:
    """What positions at [K, 3] (image, y, x) see and code; tensors by the names of `Positions`, positions first."""
    coded, known = estimates(state.new_lo, state.new_hi), estimates(state.lo, state.hi)
    gather = gather_by_kernel if at.device.type == "cpu" else gather_many
    rows, around = gather(state.coarse, coded, known, at)
    n, y, x = at.unbind(1)
    ranges = {name: getattr(state, name)[n, y, x] for name in ("lo", "hi", "new_lo", "new_hi")}
    if state.step.level == EXACT:
        known = torch.stack([ranges["lo"], ranges["hi"]])
        slack = gamut.slack_of(state.band.number)
        ranges["lo"], ranges["hi"] = narrowed(known, state.coarse[n, y, x], ranges["new_lo"], slack)
    here = torch.full((len(at),), situation(state.step.number, state.band.number), device=at.device)
    return {"rows": rows, "around": around, **ranges, "situation": here}


class ReplayBuffer:
    """The latest positions for one network. New ones replace the oldest."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size, self.next = capacity, 0, 0
        self.tensors: dict[str, Tensor] = {}

    def add(self, found: Mapping[str, Tensor]) -> None:
        if not self.tensors:
            self.tensors = {k: v.new_zeros((self.capacity, *v.shape[1:])) for k, v in found.items()}
        count = min(len(found["rows"]), self.capacity)
        first = min(count, self.capacity - self.next)  # that fit before the end
        for name, tensor in self.tensors.items():
            tensor[self.next : self.next + first] = found[name][:first]
            tensor[: count - first] = found[name][first:count]
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def draw(self, count: int, generator: torch.Generator) -> Positions:
        chosen = torch.randint(self.size, (count,), generator=generator, device=generator.device)
        return Positions.of({name: tensor.index_select(0, chosen) for name, tensor in self.tensors.items()})


class ReplayBuffers:
    """The replay buffers of all networks, filled from batches of images uint8 [N, H, W, 3], each taken
    through one of the schedules, in turn.

    A position is drawn about `uses` times before it is replaced.
    """

    def __init__(
        self,
        source: Callable[[], Tensor],
        *,
        shares: Mapping[str, float],
        capacity: int,
        uses: float,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """shares: by schedule, of an image's positions that are taken; of coarse bands more (`FEWEST`)."""
        self.source, self.uses, self.images = source, uses, 0
        self.round_robin = cycle(shares.items())
        self.generator = torch.Generator(device).manual_seed(seed)
        self.buffers = [ReplayBuffer(capacity) for _ in range(BAND_KINDS)]
        self.due = [0.0] * BAND_KINDS

    def draw(self, kind: int, count: int) -> Positions:
        """Positions of bands of a kind (`shape.band_kind`)."""
        buffer = self.buffers[kind]
        while self.due[kind] >= 0 or buffer.size < min(buffer.capacity, FIRST * count):
            self._renew()
        self.due[kind] += count
        return buffer.draw(count, self.generator)

    def _renew(self) -> None:
        pixels = self.source().to(self.generator.device)
        self.images += len(pixels)
        name, share = next(self.round_robin)
        for state in step_states(pixels, SCHEDULES[name]):
            at, kind = unfinished(state), band_kind(state.band.number)
            wanted = max(int(share * len(at)), min(len(at), FEWEST * len(pixels) // state.band.number))
            if wanted:
                order = torch.randperm(len(at), generator=self.generator, device=self.generator.device)
                self.buffers[kind].add(positions_of(state, at[order[:wanted]]))
                self.due[kind] -= self.uses * wanted
