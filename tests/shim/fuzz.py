"""Requests made from our own description of the API, against a door whose stub worker validates and answers at once.

    python -m tests.shim.fuzz [--requests N] [--seed N]

No answer may be a 5xx but the documented 501, nor of an undocumented status, type or shape. ``make fuzz`` runs it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.shim.live import Live, live

LEAST = 2000
SILENT = [
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.filter_too_much,
    hypothesis.HealthCheck.data_too_large,
]
NOT_IMPLEMENTED = 501
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


class Fuzz:
    """Counts what was answered."""

    def __init__(self, door: Live) -> None:
        self.answers: Counter[int] = Counter()
        self._session = requests.Session()
        self._session.trust_env = False
        self._schema = schemathesis.openapi.from_url(f"{door.url}/openapi.json")

    def run(self, each: int, seed: int) -> None:
        """``each`` requests to every operation that the document describes, half of them against its rules."""
        for found in self._schema.get_all_operations():
            operation = found.ok()
            for mode in schemathesis.GenerationMode:
                self._operation(operation, mode, each // 2, seed)

    def _operation(self, operation: Any, mode: schemathesis.GenerationMode, count: int, seed: int) -> None:
        @hypothesis.seed(seed)
        @hypothesis.settings(max_examples=count, deadline=None, database=None, suppress_health_check=SILENT)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            response = case.call(session=self._session, allow_redirects=False)
            self.answers[response.status_code] += 1
            assert response.status_code < 500 or response.status_code == NOT_IMPLEMENTED, response.text
            case.validate_response(response, checks=CHECKS)

        try:
            ask()
        except hypothesis.errors.Unsatisfiable:
            sys.stdout.write(f"{operation.label}: nothing to send that is {mode.value}\n")


def fuzzed(folder: Path, *, least: int, seed: int) -> Counter[int]:
    """Answers by status, of at least ``least`` requests."""
    with live(folder) as door:
        fuzz, each = Fuzz(door), 10
        while fuzz.answers.total() < least:
            fuzz.run(each, seed)
            seed, each = seed + 1, 2 * each
    return fuzz.answers


def main() -> int:
    """Ask, and tell what was answered; an answer that is not as documented ends with its traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.shim.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=LEAST)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answers = fuzzed(Path(folder), least=given.requests, seed=given.seed)
    told = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
    sys.stdout.write(f"{answers.total()} requests, every answer as documented: {told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
