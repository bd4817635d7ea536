"""What the local platform and one worker cost while nobody asks for anything: processor time, start to end of a wait.

python -m benchmarks.idle [--seconds N]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.measure import report
from fooocus_engine.settings import environment_with

AIM_PERCENT = 2.0  # of one core, all processes together
PORT = 8899
SETTLE_S = 10.0


def main() -> None:
    """Start the platform with the shipped model, wait until its worker is idle, and measure."""
    parser = argparse.ArgumentParser(description="Measure the idle platform and its worker.")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to watch")
    watched_s = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as data:
        variables = {
            "FOOOCUS_DATA_DIR": data,
            "FOOOCUS_DEVICE": "cpu",
            "FOOOCUS_PRESET": "starter",
            "RUNPOD_API_KEY": None,
        }
        command = [sys.executable, "-m", "fooocus_engine.local_platform", "--port", str(PORT)]
        platform = subprocess.Popen(command, env=environment_with(variables), stdout=subprocess.DEVNULL)
        try:
            while not worker_is_idle():
                time.sleep(1)
            time.sleep(SETTLE_S)
            before = processor_seconds(platform.pid)
            time.sleep(watched_s)
            used_s = processor_seconds(platform.pid) - before
        finally:
            platform.send_signal(signal.SIGINT)
            platform.wait()
    percent = 100 * used_s / watched_s
    report(
        f"Idle platform with one worker, {watched_s:g} s",
        [("processor time", f"{used_s:.2f} s"), ("share of a core", f"{percent:.2f} % (aim: {AIM_PERCENT} %)")],
    )


def worker_is_idle() -> bool:
    """Whether the platform answers, and has a worker that waits for jobs."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v2/local/health") as answer:
            return bool(json.load(answer)["workers"]["idle"])
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    """What a process and all its descendants have used so far."""
    used, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        parents[int(stat.parent.name)] = int(fields[1])
        used[int(stat.parent.name)] = int(fields[11]) + int(fields[12])  # proc(5): utime, stime
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used[member] for member in family) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
