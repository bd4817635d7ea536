"""``python -m builder.starter.train_few_steps``: the LoRAs of the distilled modes, resumable.

Each learns at the noise levels, and for the strength, at which the product runs its mode.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from builder.starter.conditions import Conditions, empty_text
from builder.starter.distillation import Aim, Distillation, bounded, clean, guided
from builder.starter.lora_run import LoraRun, lora_parser
from builder.starter.timetable import timetable
from fooocus_engine.endpoints.generate.performance import MODES, Performance


@dataclass(frozen=True)
class Goal:
    """How a mode is taught."""

    performance: Performance
    aim: Aim
    parts: int
    """Steps of the teacher between two of the mode's noise levels."""


GOALS: Mapping[str, Goal] = {
    "lcm": Goal(Performance.EXTREME_SPEED, "end", 3),
    "lightning": Goal(Performance.LIGHTNING, "next", 6),  # its sampler takes straight steps and adds no noise
    "hyper": Goal(Performance.HYPER_SD, "end", 3),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = lora_parser("train_few_steps", __doc__)
    made.add_argument("--for", dest="goal", choices=list(GOALS), required=True)
    return made


def main() -> None:
    """Train for so many steps in all."""
    given = parser().parse_args()
    goal = GOALS[given.goal]
    mode = MODES[goal.performance]
    assert mode.lora is not None and mode.forced is not None, "distilled modes have a LoRA"
    file, strength = mode.lora
    table, has_boundary = timetable(mode), mode.forced.scheduler == "lcm"
    run = LoraRun(given, file, strength=strength)
    empty = empty_text(run.base.networks)

    def loss(latents: Tensor, conditions: Conditions) -> Tensor:
        """The student asks without guidance, as the product will."""
        student = partial(clean, run.unet, conditions)
        teacher = guided(run.base.networks.unet, conditions, empty)
        asked = bounded(student) if has_boundary else student
        return Distillation(teacher, asked, table, goal.aim, goal.parts).loss(latents)

    run.run(loss)


if __name__ == "__main__":
    main()
