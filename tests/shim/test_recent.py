"""What is remembered of ended jobs, and what is let go."""

from fooocus_engine.jobs.record import JobRecord
from fooocus_engine.shim.entries import Entry, Part
from fooocus_engine.shim.recent import Recent


def entry(name):
    return Entry(JobRecord(name, "Text to Image", 1), (Part(name),), {})


def test_those_noted_or_asked_for_last_are_remembered():
    recent = Recent(2)
    for name in "ab":
        recent.note(entry(name))
    assert recent.find("a") == entry("a")
    recent.note(entry("c"))
    assert [recent.find(name) is not None for name in "abc"] == [True, False, True]


def test_a_deleted_job_is_not_remembered():
    recent = Recent(2)
    recent.note(entry("a"))
    recent.forget(["a", "nobody"])
    assert recent.find("a") is None
