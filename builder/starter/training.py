"""What every training does alike: steps at a rate that rises and falls, a log, a state that a later run goes on from.

A trainer brings its parameters, a loss and what is measured (``Course``). Knows neither networks nor pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

WORK = Path("build/starter")
SAVE_EVERY_S = 120
MOST_GRADIENT = 1.0  # norm of a step's gradient, at most
Parts = Mapping[str, Mapping[str, Tensor]]
"""Live tensors by name of part and of tensor, as ``module.state_dict()`` gives them: they change in place."""


class StaleState(RuntimeError):
    """A stored training does not belong to what it is to go on with."""


def work_parser(module: str, told: str | None) -> argparse.ArgumentParser:
    """The command line of a training module of this package, with the folder that all of them take."""
    parser = argparse.ArgumentParser(prog=f"python -m builder.starter.{module}", description=told)
    parser.add_argument("--work", type=Path, default=WORK, help="where states and logs lie; %(default)s")
    return parser


def new_parser(module: str, told: str | None) -> argparse.ArgumentParser:
    """The same of one that writes into a models folder."""
    parser = work_parser(module, told)
    models = WORK / "models"
    parser.add_argument("--models", type=Path, default=models, help="models folder of what is trained; %(default)s")
    return parser


def falling(step: int, steps: int, warm: int, decay_from: int = 0) -> float:
    """Share of the peak rate: a rise over ``warm`` steps; from ``decay_from`` a straight fall to nothing."""
    return min(1.0, (step + 1) / warm) * min(1.0, (steps - step) / max(1, steps - decay_from))


def cosine(step: int, steps: int, warm: int = 1, least: float = 0.0) -> float:
    """Share of the peak rate: a rise over ``warm`` steps, then half a cosine down to ``least``."""
    return min(1.0, (step + 1) / warm) * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * step / steps)))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a file beside ``path``, then put it in its place: whenever a run is stopped, it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    write(part)
    part.replace(path)


def fingerprint(*states: Mapping[str, Tensor]) -> str:
    """16 digits that tell these float32 tensors from others."""
    digest = hashlib.sha256()
    for state in states:
        for name, tensor in state.items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def forward_precision(device: torch.device) -> AbstractContextManager[object]:
    """Half precision where it pays: on a processor. On a GPU so small a model waits for launches, casts among them."""
    return torch.autocast("cpu", torch.bfloat16) if device.type == "cpu" else nullcontext()


class Log:
    """A CSV file of ``step,seconds,name,value`` lines: means of what was added since the last flush.

    Earlier runs' lines stay, and seconds go on from theirs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, list[float]] = defaultdict(list)
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._started = time.monotonic() - (float(lines[-1].split(",")[1]) if lines else 0)
        self._step = 0

    def add(self, step: int, **values: float) -> None:
        """Note values of a step."""
        self._step = step
        for name, value in values.items():
            self._values[name].append(value)

    def flush(self) -> None:
        """Write the means."""
        seconds = time.monotonic() - self._started
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for name, values in self._values.items():
                file.write(f"{self._step},{seconds:.0f},{name},{sum(values) / len(values):.5f}\n")
        self._values.clear()


class State:
    """What learns, its optimiser and the steps done, in memory and in a file."""

    def __init__(
        self, path: Path, parts: Parts, optimiser: torch.optim.Optimizer, *, base: str = "", stage: str = ""
    ) -> None:
        """Goes on from ``path`` if it is there. Peak rates are those that the optimiser has now, not the file's.

        ``base`` is the fingerprint of what the parts are learned upon. Stages that share a file, one after another,
        share its parts; each has its own steps and optimiser.

        Raises:
            StaleState: the file is of another base, or its parts are of other names or shapes.
        """
        self.path, self.optimiser, self.step = path, optimiser, 0
        self._parts, self._base, self._stage = parts, base, stage
        self._peaks = [float(group["lr"]) for group in optimiser.param_groups]
        self._other_steps: dict[str, int] = {}
        if path.is_file():
            self._resume(torch.load(path, map_location="cpu", weights_only=True))

    @property
    def log(self) -> Path:
        """Where the log of this training is."""
        return self.path.with_name(f"{self.path.stem}-{self._stage}.csv" if self._stage else f"{self.path.stem}.csv")

    @property
    def learned(self) -> list[nn.Parameter]:
        """The parameters that move."""
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]

    def seed(self, salt: int) -> int:
        """Of what a run draws: another one for each step that runs begin at."""
        return 1000 * self.step + salt

    def _own(self, name: str) -> str:
        return f"{self._stage}_{name}" if self._stage else name

    @torch.no_grad()
    def _resume(self, stored: Mapping[str, Any]) -> None:
        found = stored.get("base", "")
        if found != self._base:
            raise StaleState(
                f"{self.path}: learned upon base {found or '(unknown)'}, but the present one is {self._base}; "
                f"delete the file to learn anew"
            )
        for part, tensors in self._parts.items():
            if _shapes(stored[part]) != _shapes(tensors):
                raise StaleState(f"{self.path}: {part} is of other names or shapes; delete the file to learn anew")
            for name, tensor in tensors.items():
                tensor.copy_(stored[part][name])
        self._other_steps = {name: value for name, value in stored.items() if name.endswith("_step")}
        if self._own("optimiser") in stored:
            self.optimiser.load_state_dict(stored[self._own("optimiser")])
        self.step = int(stored.get(self._own("step"), 0))

    def save(self) -> None:
        """Write the file."""
        parts = {part: dict(tensors) for part, tensors in self._parts.items()}
        stored = {**parts, **self._other_steps, "base": self._base}
        stored |= {self._own("step"): self.step, self._own("optimiser"): self.optimiser.state_dict()}
        write_whole(self.path, lambda part: torch.save(stored, part))

    def advance(self, loss: Tensor, share: float, workers: Workers) -> None:
        """One step down ``loss``, at this share of the peak rates."""
        for group, peak in zip(self.optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        workers.average_gradients(self.learned)
        nn.utils.clip_grad_norm_(self.learned, MOST_GRADIENT)
        self.optimiser.step()
        self.step += 1


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


class Workers(Protocol):
    """Processes that train one model together."""

    @property
    def is_first(self) -> bool:
        """Whether this one keeps log and state."""

    def are_whole(self) -> bool:
        """Whether it makes sense to go on."""

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give each parameter the mean of all workers' gradients."""


class Alone:
    """One process."""

    is_first = True

    def are_whole(self) -> bool:
        """Always."""
        return True

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """They are what they are."""


def nothing() -> None:
    """Where a training has nothing more to do."""


@dataclass(frozen=True)
class Course:
    """How a training goes."""

    loss: Callable[[], Tensor]
    """A scalar of the next batch."""
    rate: Callable[[int, int], float]
    """Share of the peak rate at a step of so many."""
    measured: Callable[[], Mapping[str, float]]
    """What the log tells at each save."""
    seed: int
    """Of torch's draws in this run."""
    stepped: Callable[[], None] = nothing
    """What follows each step."""
    write: Callable[[], None] = nothing
    """Writes the files that others use: at each save, and when nothing is left to learn."""
    workers: Workers = field(default_factory=Alone)


def run(state: State, steps: int, course: Course) -> None:
    """Steps until so many are done in all; at the last one, and every two minutes, everything is written."""
    if state.step >= steps:
        course.write()
        return
    torch.manual_seed(course.seed)
    log = Log(state.log)
    saved = time.monotonic()
    while state.step < steps and course.workers.are_whole():
        loss = course.loss()
        state.advance(loss, course.rate(state.step, steps), course.workers)
        course.stepped()
        log.add(state.step, loss=float(loss.detach()))
        is_due = state.step == steps or time.monotonic() - saved > SAVE_EVERY_S
        if is_due and course.workers.is_first:
            log.add(state.step, **course.measured())
            log.flush()
            course.write()  # first: what is done has its file
            state.save()
            saved = time.monotonic()
