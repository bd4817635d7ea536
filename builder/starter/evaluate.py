"""``python -m builder.starter.evaluate``: pictures of captions through the engine, judged by the analyser.

A captions file has one caption a line with the facts to check: ``caption | background | number colour shape; …``
(``facts.py``). Without one, held-out captions are drawn: their combinations of facts were never trained on.
Prints a table and a last line with the scores; exit status 1 if a target is missed, 2 if there is nothing to measure.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path

from builder.starter.companion_rows import companion_rows
from builder.starter.facts import Told, read_told
from builder.starter.painter import add_arguments
from builder.starter.rows import TARGETS, Measures, Row, held_out
from builder.starter.studio import Painters, Studio
from fooocus_engine.errors import ModelUnavailable

Open = Callable[[Path, str | None, int], AbstractContextManager[Studio]]
"""Models folder, name of a checkpoint in it (``None`` for the shipped one) and processes → its studio."""


def main(arguments: Sequence[str] | None = None, open_studio: Open = Painters) -> None:
    """Measure and print."""
    parser = new_parser()
    given = parser.parse_args(arguments)
    try:
        told = held_out(given.count) if given.captions is None else read(given.captions)
        opened = open_studio(given.models, given.model, given.processes)
    except (OSError, ValueError, ModelUnavailable) as error:
        parser.error(str(error))
    if not told:
        parser.error("no captions")
    with opened as studio:
        measures = Measures(studio, told, given.seed)
        brief = given.brief or given.captions is not None
        more = () if brief else chain(measures.rows(), companion_rows(measures))
        sys.exit(printed(chain(measures.brief(), more)))


def new_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.evaluate", description=__doc__)
    parser.add_argument("--captions", type=Path, help="a file of captions with facts; only these are scored")
    parser.add_argument("--seed", type=int, default=1, help="of the first picture; the others' follow")
    add_arguments(parser)
    parser.add_argument("--count", type=positive, default=200, help="held-out captions")
    parser.add_argument("--brief", action="store_true", help="only the captions' own scores")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--processes", type=positive, default=cores, help=f"that paint, one thread each; default: the cores, {cores}"
    )
    return parser


def positive(text: str) -> int:
    """A number from 1 on.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, got {text!r}")
    return int(text)


def read(path: Path) -> list[Told]:
    """Captions of a file.

    Raises:
        OSError, ValueError: it cannot be read, or names what the world does not have.
    """
    return read_told(path.read_text(encoding="utf-8").splitlines())


def printed(found: Iterable[Row]) -> int:
    """The exit status, after the table and the last line."""
    rows = []
    for row in found:
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
        rows.append(row)
    missed = sum(not row.met for row in rows)
    scores = ", ".join(f"{row.name} {row.value:.3f}" for row in rows if row.name in TARGETS)
    sys.stdout.write(f"{scores}; {missed} targets missed\n")
    return 1 if missed else 0


if __name__ == "__main__":
    main()
