"""``python -m builder.bake``: fetches the model files of presets and features into a models folder, checked.

Every option may also be set by its variable, as in the Dockerfile. Downloads go on where an earlier bake ended. Exit
status: 0 all files are there; 1 a file could not be fetched; 2 bad arguments; 3 a wrong size or digest; 4 no space;
130 interrupted. See builder/baking/errors.py.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from builder.baking.asking import Patience
from builder.baking.choice import SETS, chosen, presets_of
from builder.baking.errors import BadChoice, BakeFailed, NoSpace
from builder.baking.lock import read_lock
from builder.baking.work import Bake
from fooocus_engine.models.catalogue import known_files
from fooocus_engine.models.features import FEATURES

INTERRUPTED = 130
ON, OFF = ("on", "true", "1", "yes"), ("", "off", "false", "0", "no")


def parsed(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """The options, flags over variables.

    Raises:
        BadChoice: a variable holds a value that is not allowed.
        SystemExit: a flag does.
    """
    parser = argparse.ArgumentParser(prog="python -m builder.bake", description="Fetch the model files of an image.")
    known = known_files()
    parser.add_argument(
        "--into", type=Path, default=Path("models"), metavar="FOLDER", help="models folder (%(default)s)"
    )
    parser.add_argument(
        "--presets", default=environment.get("BAKE_PRESETS", "default"), metavar="NAMES",
        help=f"with commas, or all: {', '.join(presets_of(known))} [BAKE_PRESETS] (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--features", default=environment.get("BAKE_FEATURES", "standard"), metavar="NAMES",
        help=f"with commas: {', '.join((*SETS, *FEATURES))} [BAKE_FEATURES] (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--files", default=environment.get("BAKE_FILES", ""), metavar="FILES",
        help="further ones, with blanks: KIND/NAME of a known file, or KIND/NAME=URL[#sha256=HEX] [BAKE_FILES]",
    )  # fmt: skip
    parser.add_argument(
        "--accept-non-commercial", action="store_true", default=_switch(environment, "BAKE_ACCEPT_NON_COMMERCIAL"),
        help="also bake files for non-commercial use only (THIRD_PARTY) [BAKE_ACCEPT_NON_COMMERCIAL]",
    )  # fmt: skip
    parser.add_argument(
        "--half", action="store_true", default=_switch(environment, "BAKE_HALF"),
        help="float32 checkpoints become float16, as a GPU worker loads them [BAKE_HALF]",
    )  # fmt: skip
    parser.add_argument(
        "--parallel",
        default=environment.get("BAKE_PARALLEL", "4"),
        help="downloads at a time [BAKE_PARALLEL] (%(default)s)",
    )
    parser.add_argument("--lock", type=Path, default=Path("builder/bake.lock.json"), help="lock file (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be fetched, with sizes, and end")
    return parser.parse_args(arguments)


def bake(options: argparse.Namespace, environment: Mapping[str, str], patience: Patience) -> None:
    """Print the plan and carry it out.

    Raises:
        BakeFailed: see builder/baking/errors.py.
    """
    choice = chosen(
        known_files(),
        options.presets.replace(",", " ").split(),
        options.features.replace(",", " ").split(),
        options.files.split(),
        accept_non_commercial=options.accept_non_commercial,
    )
    for count, effect in choice.left_out:
        told = f"left out: {count} files for non-commercial use only; without them {effect}"
        sys.stdout.write(f"{told}. BAKE_ACCEPT_NON_COMMERCIAL=1 accepts their terms.\n")
    work = Bake(
        into=options.into,
        lock=read_lock(options.lock),
        environment=environment,
        patience=replace(patience, tries=1) if options.dry_run else patience,
        parallel=_whole("BAKE_PARALLEL", options.parallel, (1, 16)),
        half=options.half,
    )
    if options.dry_run:
        asyncio.run(work.tell(choice.files, sys.stdout))
        return
    with _alone(options.into):
        asyncio.run(work.carry_out(choice.files, sys.stdout))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else bakes into ``folder`` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BadChoice(f"another bake is at work in {folder}") from None
    finally:
        os.close(handle)


def _switch(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").lower()
    if text not in (*ON, *OFF):
        raise BadChoice(f"{name} is {text!r}; allowed: on, off")
    return text in ON


def _whole(name: str, text: str, limits: tuple[int, int]) -> int:
    if not (text.isascii() and text.isdigit() and limits[0] <= int(text) <= limits[1]):
        raise BadChoice(f"{name} is {text!r}; allowed: whole numbers from {limits[0]} to {limits[1]}")
    return int(text)


def patience_from(environment: Mapping[str, str]) -> Patience:
    """How patient a bake is told to be: BAKE_TRIES, and BAKE_STALL in seconds.

    Raises:
        BadChoice: a variable holds a value that is not allowed.
    """
    tries = _whole("BAKE_TRIES", environment.get("BAKE_TRIES") or "8", (1, 100))
    stall_s = _whole("BAKE_STALL", environment.get("BAKE_STALL") or "60", (1, 3600))
    return Patience(tries=tries, stall_s=stall_s)


def run(arguments: Sequence[str] | None, environment: Mapping[str, str], patience: Patience | None = None) -> int:
    """Bake; the exit status."""
    try:
        bake(parsed(arguments, environment), environment, patience or patience_from(environment))
    except BakeFailed as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    except OSError as error:
        sys.stderr.write(f"{error.filename or 'disk'}: {error.strerror}\n")
        return NoSpace.status if error.errno == errno.ENOSPC else BakeFailed.status
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the next bake goes on from here\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(run(None, os.environ))
