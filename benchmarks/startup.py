"""Start-up: from a fresh process to an engine that is ready, and the import time of everything that needs no torch."""

from __future__ import annotations

from benchmarks.measure import process_seconds, report

READY = """
import gc
gc.disable()
from pathlib import Path
from fooocus_engine.models.prefetch import read_largest
from fooocus_engine.settings import Settings
read_largest(Path("fooocus_engine/models/embedded/checkpoints").iterdir())
{sdk}
from fooocus_engine.engine import Engine
gc.freeze()
gc.enable()
engine = Engine(Settings(models_dir=Path("models-of-nobody")))
engine.warm_up()
"""
LIGHT = """
import fooocus_engine.endpoints.dialects, fooocus_engine.endpoints.generate.planner
import fooocus_engine.endpoints.generate.facts, fooocus_engine.endpoints.listing.run
import fooocus_engine.jobs.job, fooocus_engine.models.catalogue, fooocus_engine.models.prefetch
import fooocus_engine.output.publish, fooocus_engine.output.recall, fooocus_engine.output.storage
import fooocus_engine.worker.adapter, fooocus_engine.worker.checks
"""


def run(rounds: int) -> None:
    """Measure and print."""
    empty = process_seconds("pass", rounds)
    report(
        f"Start-up, fresh processes, median of {rounds}",
        [
            (
                "(a) process start to engine ready, with the SDK",
                f"{process_seconds(READY.format(sdk='import runpod'), rounds):.2f} s",
            ),
            ("    the same without the SDK", f"{process_seconds(READY.format(sdk=''), rounds):.2f} s"),
            ("(d) imports of the torch-free part (aim 0.5 s)", f"{process_seconds(LIGHT, rounds) - empty:.2f} s"),
            ("    an empty interpreter, taken off (d)", f"{empty:.3f} s"),
        ],
    )
