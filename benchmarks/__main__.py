"""`make bench`: start-up, a picture against its floor, imports, and refusals, in one run.

python -m benchmarks [--quick]
"""

from __future__ import annotations

import argparse
import logging

from benchmarks import picture, refusals, startup


def main() -> None:
    """Run every benchmark; `--quick` repeats each only once."""
    parser = argparse.ArgumentParser(description="Measure start-up, a picture, imports and refusals.")
    parser.add_argument("--quick", action="store_true", help="one round of each")
    rounds = 1 if parser.parse_args().quick else 5
    logging.disable(logging.INFO)
    startup.run(rounds)
    picture.run(rounds)
    refusals.run(rounds)


if __name__ == "__main__":
    main()
