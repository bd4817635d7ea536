"""Replays recordings of the reference engine through this engine's public functions.

    python -m tests.golden.replay [DIR] [--only REGEX]

DIR holds recordings in the format of `records/README.md`; default is the project's own copy. One line a record:
``GROUP/ID``, ``ok`` | ``FAIL`` | ``unsupported``, and the largest error over its tolerance. Exit status 1 on a failure.
"""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.golden import features, guidance, images, prompts, requests, samplers, schedules, vae
from tests.golden.records import OWN_RECORDS, Record, groups
from tests.golden.workbench import Workbench

Replay = Callable[[Record, Workbench], float | None]  # error over tolerance; None = not supported yet

REPLAYS: tuple[tuple[str, Replay], ...] = (
    ("A_", schedules.replay),
    ("B_", samplers.replay),
    ("C_", guidance.replay),
    ("D_", prompts.replay),
    ("E", features.replay),
    ("F_", vae.replay),
    ("G_", images.replay),
    ("H", requests.replay),
)


def replay_of(group: str) -> Replay | None:
    """The function that replays a group, by the start of its name."""
    return next((replay for prefix, replay in REPLAYS if group.startswith(prefix)), None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=OWN_RECORDS, metavar="DIR")
    parser.add_argument("--only", default="", metavar="REGEX", help="searched in GROUP/ID")
    options = parser.parse_args(arguments)
    counts = {"ok": 0, "FAIL": 0, "unsupported": 0}
    wanted = re.compile(options.only)
    with Workbench(options.directory) as workbench:
        for group in groups(options.directory):
            for record in group.records:
                name = f"{group.name}/{record.id}"
                if wanted.search(name):
                    counts[_report(name, record, workbench)] += 1
    sys.stdout.write(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['unsupported']} unsupported\n")
    return 1 if counts["FAIL"] else 0


def _report(name: str, record: Record, workbench: Workbench) -> str:
    replay = replay_of(record.group.name)
    try:
        error = replay(record, workbench) if replay else None
    except Exception:  # one broken record must not hide the others
        sys.stderr.write(f"{name}\n{traceback.format_exc()}")
        error = float("inf")
    verdict = "unsupported" if error is None else "ok" if error <= 1 else "FAIL"
    sys.stdout.write(f"{name} {verdict}{'' if error is None else f' {error:.3g}'}\n")
    sys.stdout.flush()
    return verdict


if __name__ == "__main__":
    sys.exit(main())
