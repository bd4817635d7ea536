"""The one lock around model work."""

import threading

import pytest

from fooocus_engine.errors import JobCanceled
from fooocus_engine.jobs.job import Job
from fooocus_engine.jobs.turn import Turn


def job(id="j"):
    return Job(id, lambda event: None)


def test_one_job_at_a_time():
    turn, inside, most = Turn(), [], []

    def work():
        for _ in range(50):
            with turn.of(job()):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_a_waiting_job_that_is_canceled_leaves():
    turn, waiting, ended = Turn(), job("waiting"), []

    def wait():
        with pytest.raises(JobCanceled), turn.of(waiting):
            raise AssertionError("the turn was not free")
        ended.append(True)

    with turn.of(job("running")):
        thread = threading.Thread(target=wait)
        thread.start()
        waiting.cancel()
        thread.join(60)
        assert ended == [True]


def test_a_canceled_job_does_not_begin_and_the_turn_is_free_again():
    turn, canceled = Turn(), job()
    canceled.cancel()
    with pytest.raises(JobCanceled), turn.of(canceled):
        raise AssertionError("it began")
    with turn.of(job()):
        pass


def test_the_turn_is_free_again_after_an_error():
    turn = Turn()
    with pytest.raises(ZeroDivisionError), turn.of(job()):
        raise ZeroDivisionError
    with turn.of(job()):
        pass
