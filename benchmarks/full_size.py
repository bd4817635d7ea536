"""``python -m benchmarks.full_size``: loading a checkpoint of 6.9 GB against reading its bytes once, and peak memory.

Both are measured cold (the file's pages evicted before each) and warm, in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import report, seconds
from tests.models import full_size, layouts

ROOT = Path(__file__).parent.parent
BLOCK = 16 * 1024 * 1024  # bytes of one read
GIB = 1024**3
Facts = dict[str, float]  # what `load_once` prints
Round = tuple[float, Facts]


def main() -> None:
    """Write the file where it is missing, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_size", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the file is kept for further runs; default: nowhere")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with models_folder(given.folder) as models:
        checkpoint = written(models)
        cold = measured(checkpoint, evict, rounds=given.rounds)
        warm = measured(checkpoint, read, rounds=given.rounds)
        size = checkpoint.stat().st_size
    peak = statistics.median(facts["peak_bytes"] for _, facts in cold + warm) / size
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    report(
        f"A checkpoint of {size / 1e9:.2f} GB on the processor in float16, median of {given.rounds}, load {load}",
        [*rows("cold", cold), *rows("warm", warm), ("peak memory / file size (aim 1.3)", f"{peak:.3f}")],
    )


def measured(checkpoint: Path, prepare: Callable[[Path], object], *, rounds: int) -> list[Round]:
    """Seconds of reading, and what loading tells, in turns, each with the page cache as ``prepare`` leaves it."""
    taken = []
    for _ in range(rounds):
        prepare(checkpoint)
        reading = seconds(lambda: read(checkpoint))
        prepare(checkpoint)
        taken.append((reading, load(checkpoint)))
    return taken


def rows(state: str, taken: list[Round]) -> list[tuple[str, str]]:
    """Medians of the rounds, and their ratio."""
    reading = statistics.median(reading for reading, _ in taken)
    built, touched = (statistics.median(facts[name] for _, facts in taken) for name in ("built_s", "touched_s"))
    return [
        (f"{state}: read every byte once", f"{reading:.2f} s"),
        (f"{state}: load, and touch every byte of every weight", f"{touched:.2f} s"),
        (f"{state}: of that the load", f"{built:.2f} s"),
        (f"{state}: load / read (aim 1.5)", f"{touched / reading:.3f}"),
    ]


@contextlib.contextmanager
def models_folder(kept: Path | None) -> Iterator[Path]:
    """``kept``, or a folder that goes with all that is in it."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def written(models: Path) -> Path:
    """The checkpoint in the models folder, with a stand-in for its tokenizer; an earlier run's is taken as it is.

    Raises:
        SystemExit: the disk has too little room.
    """
    checkpoints = models / "checkpoints"
    path, needed = checkpoints / full_size.NAME, full_size.sdxl_bytes()
    checkpoints.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.stat().st_size < needed:
        path.unlink(missing_ok=True)
        free = shutil.disk_usage(checkpoints).free
        if free < needed + GIB:
            raise SystemExit(f"{checkpoints} has {free / GIB:.1f} GiB free; {(needed + GIB) / GIB:.1f} are needed")
        layouts.write_vocabulary(path.with_suffix("") / "tokenizer")
        full_size.write_sdxl(checkpoints)
    return path


def evict(path: Path) -> None:
    """Drop the file's pages from the operating system's cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(path: Path) -> None:
    """One plain pass over the file."""
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def load(path: Path) -> Facts:
    """What a fresh process tells of loading the file."""
    command = [sys.executable, "-m", "benchmarks.load_once", str(path.parent.parent), path.name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    facts: Facts = json.loads(done.stdout)
    return facts


if __name__ == "__main__":
    main()
