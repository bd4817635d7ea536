"""The durable queue over a clock that a test moves; reopened where durability is meant."""

import json
from contextlib import closing
from dataclasses import replace

import pytest

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.refusals import BadRequest, NotFound
from fooocus_engine.local_platform.store import Change, Ending, Tally
from tests.local_platform.standing import Standing

DONE = Ending(State.COMPLETED, '{"a":1}')


@pytest.fixture
def standing(tmp_path):
    with closing(Standing(tmp_path)) as standing:
        yield standing


def states(standing, *ids):
    return [standing.store.find(id).state.value for id in ids]


def test_an_accepted_job_is_there_after_its_process_was_not(standing, tmp_path):
    ids = [standing.submit({"n": n}) for n in range(3)]
    standing.close()
    with closing(Standing(tmp_path)) as again:
        assert states(again, *ids) == ["IN_QUEUE"] * 3
        handed = [json.loads(text) for text in again.store.take("w", 9).values()]
        assert handed == [{"id": id, "input": {"n": n}} for n, id in enumerate(ids)]


def test_jobs_are_taken_in_order_and_once(standing):
    ids = [standing.submit() for _ in range(4)]
    assert [standing.take("v"), standing.take("w", 2), standing.take("v", 9), standing.take("w")] == [
        ids[:1], ids[1:3], ids[3:], [],
    ]  # fmt: skip
    assert [standing.store.find(id).worker for id in ids] == ["v", "w", "w", "v"]
    assert standing.store.holders() == {"v", "w"}


def test_a_finished_job_keeps_its_result(standing):
    id = standing.submit()
    standing.take("w")
    standing.clock.forward(250)
    change = standing.store.finish("w", id, DONE)
    assert change == Change(change.before, standing.store.find(id))
    assert (change.after.state, change.after.execution_ms) == (State.COMPLETED, 250)
    assert standing.store.result(id) == ('{"a":1}', None)
    assert standing.store.tally(Tally.COMPLETED) == 1


def test_only_the_worker_that_holds_a_job_can_finish_it(standing):
    id = standing.submit()
    assert standing.store.finish("w", id, DONE) is None
    standing.take("w")
    assert standing.store.finish("v", id, DONE) is None
    assert standing.store.finish("w", id, DONE) is not None
    assert standing.store.finish("w", id, Ending(State.FAILED, error="late")) is None
    assert standing.store.result(id) == ('{"a":1}', None)


def test_an_unknown_job_is_unknown_to_every_method(standing):
    store = standing.store
    for asked in (
        lambda: store.find("x"),
        lambda: store.finish("w", "x", DONE),
        lambda: store.cancel("x"),
        lambda: store.retry("x"),
        lambda: store.expire_at("x", 0),
        lambda: store.add_chunk("w", "x", "1"),
    ):
        with pytest.raises(NotFound, match="no such job"):
            asked()


def test_waiting_and_running_jobs_can_be_cancelled_and_ended_ones_stay(standing):
    running, waiting = standing.submit(), standing.submit()
    standing.take("w")
    assert [standing.store.cancel(id).after.state for id in (running, waiting)] == [State.CANCELLED] * 2
    assert standing.store.cancel(waiting) is None
    assert standing.take("w") == []
    assert standing.store.finish("w", running, DONE) is None


def test_a_purge_ends_what_waits_and_nothing_else(standing):
    running, *waiting = [standing.submit() for _ in range(3)]
    standing.take("w")
    assert [change.after.id for change in standing.store.purge()] == waiting
    assert states(standing, running, *waiting) == ["IN_PROGRESS", "CANCELLED", "CANCELLED"]
    assert standing.store.purge() == []


def test_a_retried_job_keeps_its_input_loses_its_result_and_queues_at_the_end(standing):
    failed = standing.submit({"n": 0})
    standing.take("w")
    standing.store.add_chunk("w", failed, '"old"')
    standing.store.finish("w", failed, Ending(State.FAILED, error="no"))
    other = standing.submit()
    standing.clock.forward(5)
    standing.store.retry(failed)
    assert standing.store.result(failed) == (None, None)
    assert standing.store.fetch_chunks(failed) == []
    assert standing.take("w", 9) == [other, failed]
    standing.store.finish("w", failed, DONE)
    assert standing.store.find(failed).delay_ms == 0
    with pytest.raises(BadRequest):
        standing.store.retry(failed)


def test_a_silent_worker_loses_its_job_once_and_then_the_job_fails(standing):
    id = standing.submit()
    standing.take("w")
    standing.clock.forward(limits.LEASE_MS - 1)
    assert standing.store.expire() == []
    standing.clock.forward(1)
    (change,) = standing.store.expire()
    assert (change.before.worker, change.after.state, change.after.retries) == ("w", State.IN_QUEUE, 1)
    standing.take("v")
    standing.clock.forward(limits.LEASE_MS)
    standing.store.expire()
    assert states(standing, id) == ["FAILED"]
    assert standing.store.result(id) == (None, "job timed out after 1 retries")
    assert (standing.store.tally(Tally.RETRIED), standing.store.tally(Tally.FAILED)) == (1, 1)


def test_a_ping_renews_the_leases_it_names_and_tells_what_is_no_longer_wanted(standing):
    kept, cancelled, other, silent = (standing.submit() for _ in range(4))
    standing.take("w", 2)
    standing.take("v")
    standing.take("w")
    standing.store.cancel(cancelled)
    standing.clock.forward(limits.LEASE_MS - 1)
    unwanted = standing.store.renew("w", [kept, cancelled, other, "unknown"])
    assert unwanted == [cancelled, other, "unknown"]
    standing.clock.forward(1)
    assert {change.before.id for change in standing.store.expire()} == {other, silent}


def test_a_late_job_times_out_whatever_its_worker_says(standing):
    id = standing.submit(policy={"executionTimeout": 5000})
    standing.take("w")
    standing.clock.forward(4999)
    standing.store.renew("w", [id])
    assert standing.store.expire() == []
    standing.clock.forward(1)
    (change,) = standing.store.expire()
    assert (change.before.worker, change.after.state) == ("w", State.TIMED_OUT)
    assert standing.store.result(id) == (None, "execution timed out after 5000 ms")
    standing.store.retry(id)
    assert standing.take("v") == [id]


def test_waiting_does_not_count_as_execution(standing):
    id = standing.submit(policy={"executionTimeout": 5000})
    standing.clock.forward(60_000)
    standing.take("w")
    assert standing.store.expire() == []
    assert states(standing, id) == ["IN_PROGRESS"]


@pytest.mark.parametrize("taken", [False, True])
def test_a_job_vanishes_with_its_ttl_in_any_state(standing, taken):
    id = standing.submit(policy={"ttl": 10_000})
    if taken:
        standing.take("w")
    standing.clock.forward(10_000)
    with pytest.raises(NotFound):
        standing.store.find(id)
    assert standing.take("v") == []
    (change,) = standing.store.expire()
    assert (change.before.id, change.after) == (id, None)
    assert rows(standing) == {"jobs": 0, "requests": 0, "results": 0, "chunks": 0}


def rows(standing):
    tables = ("jobs", "requests", "results", "chunks")
    return {table: standing.database.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables}


@pytest.mark.parametrize(("synchronous", "kept_ms"), [(False, 1_800_000), (True, 60_000)])
def test_a_result_is_kept_for_its_time_and_then_leaves_nothing(standing, synchronous, kept_ms):
    id = standing.submit(synchronous=synchronous)
    standing.take("w")
    standing.store.add_chunk("w", id, "1")
    standing.store.finish("w", id, DONE)
    standing.clock.forward(kept_ms - 1)
    assert states(standing, id) == ["COMPLETED"]
    standing.clock.forward(1)
    with pytest.raises(NotFound):
        standing.store.find(id)
    standing.store.expire()
    assert rows(standing) == {"jobs": 0, "requests": 0, "results": 0, "chunks": 0}


def test_the_end_of_a_job_can_be_moved(standing):
    id = standing.submit()
    standing.store.expire_at(id, standing.clock() + 100)
    standing.clock.forward(100)
    with pytest.raises(NotFound):
        standing.store.find(id)


@pytest.mark.parametrize(("lost", "retries"), [(True, 1), (False, 0)])
def test_a_worker_that_is_gone_gives_all_its_jobs_back(standing, lost, retries):
    first, second, other = (standing.submit() for _ in range(3))
    standing.take("w", 2)
    standing.take("v")
    changes = standing.store.release("w", lost=lost)
    assert [change.after.id for change in changes] == [first, second]
    assert [standing.store.find(id).retries for id in (first, second, other)] == [retries, retries, 0]
    assert states(standing, first, second, other) == ["IN_QUEUE", "IN_QUEUE", "IN_PROGRESS"]
    assert standing.store.release("w", lost=lost) == []


def test_a_new_process_takes_back_the_jobs_of_its_own_workers_and_waits_for_the_others(standing, tmp_path):
    own, foreign = standing.submit(), standing.submit()
    standing.take("local-1-abc")
    standing.take("elsewhere")
    now = standing.clock()
    standing.close()
    with closing(Standing(tmp_path)) as again:
        again.clock.now = now + 2 * limits.LEASE_MS
        assert [change.after.id for change in again.store.resume("local-")] == [own]
        assert again.store.expire() == []
        assert states(again, own, foreign) == ["IN_QUEUE", "IN_PROGRESS"]
        again.clock.forward(limits.LEASE_MS)
        assert [change.before.id for change in again.store.expire()] == [foreign]


def test_chunks_are_fetched_once_in_order_and_only_taken_from_the_holder(standing):
    id = standing.submit()
    standing.take("w")
    assert [standing.store.add_chunk(worker, id, f'"{n}"') for n, worker in enumerate("wvw")] == [True, False, True]
    assert standing.store.fetch_chunks(id) == ['"0"', '"2"']
    assert standing.store.fetch_chunks(id) == []


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED])
def test_the_webhook_waits_from_the_moment_of_the_end(standing, state):
    id = standing.submit(webhook="https://h.example/")
    standing.take("w")
    assert standing.store.outbox.claim(60) == []
    standing.store.finish("w", id, Ending(state, "1", None))
    (message,) = standing.store.outbox.claim(60)
    assert (message.url, message.tries) == ("https://h.example/", 1)
    assert json.loads(message.body)["status"] == state


def test_the_webhook_is_sent_for_every_way_to_end(standing):
    cancelled, late, lost = (
        standing.submit(webhook="https://h.example/", policy={"executionTimeout": ms}) for ms in (9000, 5000, 9000)
    )
    standing.store.cancel(cancelled)
    standing.take("w", 2)
    standing.store.release("w", lost=True)
    standing.take("v", 2)
    standing.clock.forward(5000)
    standing.store.expire()
    standing.store.release("v", lost=True)
    told = {body["id"]: body["status"] for body in (json.loads(m.body) for m in standing.store.outbox.claim(60))}
    assert told == {cancelled: "CANCELLED", late: "TIMED_OUT", lost: "FAILED"}


def test_a_change_that_fails_midway_changes_nothing(standing):
    id = standing.submit(webhook="https://h.example/")
    standing.take("w")
    standing.database.run("UPDATE requests SET handed = 'no json'")
    with pytest.raises(ValueError):
        standing.store.finish("w", id, DONE)
    assert states(standing, id) == ["IN_PROGRESS"]
    assert standing.store.result(id) == (None, None)
    standing.database.run("UPDATE requests SET handed = ?", '{"input":1}')
    assert standing.store.finish("w", id, DONE) is not None


def test_saving_keeps_every_field_of_a_job(standing):
    id = standing.submit(webhook="https://h.example/", synchronous=True, policy={"executionTimeout": 5000})
    standing.take("w")
    job = standing.store.find(id)
    assert replace(job) == job.returned().taken("w", job.started_ms)
    assert (job.synchronous, job.webhook, job.execution_timeout_ms) == (True, "https://h.example/", 5000)
