"""Timing for the benchmarks: medians of repeated runs, and fresh processes. Knows nothing of what is measured."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Median wall time of several calls."""
    return statistics.median(seconds(work) for _ in range(rounds))


def process_seconds(code: str, rounds: int) -> float:
    """Median wall time of fresh interpreters that run ``code``, from their start to their end."""
    command = [sys.executable, "-c", code]
    return median_seconds(lambda: subprocess.run(command, check=True, capture_output=True), rounds)


def report(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a titled table of two columns."""
    sys.stdout.write(f"\n{title}\n")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        sys.stdout.write(f"  {name:<{width}}  {value}\n")
    sys.stdout.flush()
