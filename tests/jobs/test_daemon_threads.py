"""Calls on threads that nobody waits for at the end."""

import subprocess
import sys
import threading

import pytest

from fooocus_engine.jobs.daemon_threads import DaemonThreads

HANGING = """
import threading
from fooocus_engine.jobs.daemon_threads import DaemonThreads
begun = threading.Event()
DaemonThreads(1).submit(lambda: (begun.set(), threading.Event().wait()))
begun.wait()
print("ends")
"""


def test_a_call_gives_its_result_or_its_error():
    threads = DaemonThreads(1)
    assert threads.submit(divmod, 7, 4).result() == (1, 3)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result()


def test_no_more_calls_than_allowed_run_at_a_time():
    threads, meeting, running, most = DaemonThreads(3), threading.Barrier(3), [], []

    def call():
        running.append(1)
        most.append(len(running))
        meeting.wait()
        running.pop()

    for call_ in [threads.submit(call) for _ in range(9)]:
        call_.result()
    assert max(most) == 3


def test_a_call_that_is_cancelled_before_its_turn_does_not_run():
    threads, release, ran = DaemonThreads(1), threading.Event(), []
    first = threads.submit(release.wait)
    while not first.running():
        threading.Event().wait(0.001)
    second = threads.submit(ran.append, 2)
    assert second.cancel()
    release.set()
    threads.submit(ran.append, 3).result()
    assert ran == [3]


def test_a_process_ends_though_a_call_hangs():
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "ends\n"
