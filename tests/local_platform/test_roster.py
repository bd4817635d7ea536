"""Which workers there are, over a clock that a test moves."""

import pytest

from fooocus_engine.local_platform.roster import FORGOTTEN_S, Roster


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def counts(roster, holders=()):
    return {name: number for name, number in roster.counts(set(holders)).items() if number}


@pytest.fixture
def clock():
    return Clock()


def test_there_are_six_counts():
    names = {"idle", "initializing", "ready", "running", "throttled", "unhealthy"}
    assert Roster(Clock()).counts(set()) == dict.fromkeys(names, 0)


def test_a_started_worker_is_loading_until_it_calls(clock):
    roster = Roster(clock)
    roster.start("w")
    clock.now = 10 * FORGOTTEN_S
    assert counts(roster) == {"initializing": 1}
    roster.hear("w")
    assert counts(roster) == {"idle": 1, "ready": 1}
    assert counts(roster, "w") == {"running": 1, "ready": 1}


def test_a_silent_worker_is_forgotten_unless_it_has_jobs(clock):
    roster = Roster(clock)
    roster.hear("w")
    clock.now = FORGOTTEN_S + 1
    assert counts(roster) == {}
    assert counts(roster, "w") == {"running": 1, "ready": 1}


def test_an_unfit_worker_is_unhealthy_until_it_calls_again(clock):
    roster = Roster(clock)
    roster.start("w")
    roster.doubt("w")
    assert counts(roster) == {"unhealthy": 1}
    roster.hear("w")
    assert counts(roster) == {"idle": 1, "ready": 1}


def test_a_worker_that_leaves_or_is_gone_is_given_nothing(clock):
    roster = Roster(clock)
    assert roster.serves("w")
    roster.hear("w")
    roster.leave("w")
    assert not roster.serves("w")
    assert counts(roster) == {"idle": 1, "ready": 1}
    roster.lose("w")
    roster.hear("w")
    assert not roster.serves("w")
    assert counts(roster) == {}
