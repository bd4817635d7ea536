"""Events folded into what a client is told."""

import base64

import pytest

from fooocus_engine.jobs.events import Canceled, Failed, Finished, ImageReady, Stage, Step
from fooocus_engine.worker.update import Updates


def step(percent=20, number=1, preview=None):
    return Step(percent, f"Step {number}", 0, number, 30, preview)


def heard(*events):
    updates = Updates(lambda: 1700000000000)
    for event in events:
        updates.hear(event)
    return updates


def test_an_update_has_the_documented_keys():
    assert heard(Stage(3, "Encoding positive #1 ..."), step(20, 4, b"png")).take() == {
        "job_progress": 20,
        "job_status": "Step 4",
        "job_step_preview": base64.b64encode(b"png").decode(),
        "image_index": 0,
        "step": 4,
        "total_steps": 30,
        "ts": 1700000000000,
        "n": 1,
    }


def test_only_the_newest_state_is_kept_and_updates_are_numbered():
    updates = heard(step(20, 1), step(23, 2))
    assert updates.take()["step"] == 2
    updates.hear(step(26, 3))
    assert updates.take()["n"] == 2


def test_a_phase_keeps_the_numbers_of_the_last_step():
    update = heard(step(98, 29), Stage(99, "Saving image 1/1 to system ...")).take()
    assert (update["step"], update["total_steps"], update["job_progress"]) == (29, 30, 99)


def test_a_preview_waits_for_the_next_update_and_is_told_once():
    updates = heard(step(20, 1, b"png"), step(23, 2))
    assert updates.take()["job_step_preview"] is not None
    updates.hear(step(26, 3))
    assert updates.take()["job_step_preview"] is None


def test_a_newer_preview_replaces_one_that_waits():
    updates = heard(step(20, 1, b"old"), step(23, 2, b"new"))
    assert updates.take()["job_step_preview"] == base64.b64encode(b"new").decode()


def test_the_addresses_of_finished_pictures_are_told():
    updates = heard(ImageReady(0, "j-0.png", "https://x/j-0.png"), ImageReady(1, "j-1.png", "https://x/j-1.png"))
    assert updates.take()["image_urls"] == ["https://x/j-0.png", "https://x/j-1.png"]


@pytest.mark.parametrize("event", [ImageReady(0, "j-0.png"), Finished(), Failed("no"), Canceled()])
def test_what_the_result_tells_is_no_update(event):
    assert not heard(event).pending


def test_a_phase_is_urgent_and_a_step_is_not():
    assert heard(Stage(1, "a")).urgent
    assert not heard(step()).urgent
    updates = heard(Stage(1, "a"))
    updates.take()
    assert not updates.urgent
    assert not updates.pending


def test_what_did_not_arrive_is_told_again_with_what_came_since():
    updates = heard(step(20, 1, b"png"))
    lost = updates.take()
    updates.hear(step(23, 2))
    updates.put_back(lost)
    again = updates.take()
    assert (again["step"], again["job_step_preview"], again["n"]) == (2, lost["job_step_preview"], 2)


def test_a_newer_preview_wins_over_one_that_did_not_arrive():
    updates = heard(step(20, 1, b"old"))
    lost = updates.take()
    updates.hear(step(23, 2, b"new"))
    updates.put_back(lost)
    assert updates.take()["job_step_preview"] == base64.b64encode(b"new").decode()
