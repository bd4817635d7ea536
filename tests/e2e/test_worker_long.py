"""Short runs of the benchmarks that judge the deployed worker: cancels of real jobs, and many jobs in a row."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import cancels, soak

pytestmark = pytest.mark.slow

POINTS = 12


def test_a_cancel_at_any_point_leaves_the_next_picture_as_in_a_fresh_process():
    _, rows = asyncio.run(cancels.measured())
    assert len(rows) == POINTS
    assert [row.point for row in rows if not row.same_picture] == []
    assert [row.point for row in rows if row.posts] == []


def test_mixed_jobs_end_and_leave_nothing_behind():
    outcome = asyncio.run(soak.soaked(40))
    assert outcome.good, outcome
    assert set(outcome.states) == {"completed", "failed", "cancelled"}
    half, last = outcome.samples[len(outcome.samples) // 2], outcome.samples[-1]
    assert last.threads <= half.threads + 1  # one that is about to end
    assert last.files <= half.files + 4  # connections of an update and a result on their way
