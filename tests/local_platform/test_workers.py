"""Worker processes from start to end; shell scripts stand for the handler."""

import asyncio
import contextlib
from contextlib import closing

import pytest

from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.workers import Fleet, Recipe
from tests.local_platform.process import alive, until
from tests.local_platform.standing import Standing

SLEEP = "exec sleep 1000"


@pytest.fixture
def standing(tmp_path):
    with closing(Standing(tmp_path)) as standing:
        yield standing


class Stage:
    """A fleet whose workers run a script, and the lines they print."""

    def __init__(self, standing, script, **recipe):
        self.lines = asyncio.Queue()
        self.platform = standing.platform
        command = ("/bin/sh", "-c", script)
        environment = {"backoff_s": 0.01, "grace_s": 60.0} | recipe
        self.fleet = Fleet(
            standing.platform,
            Recipe(command, lambda worker: {"WORKER": worker, "PATH": "/usr/bin:/bin"}, self.show, **environment),
        )

    def show(self, line):
        self.lines.put_nowait(line.rstrip("\n"))

    async def said(self):
        """The next line of a worker, without its number."""
        return (await self.lines.get()).removeprefix("[worker 1] ")


@contextlib.asynccontextmanager
async def running(standing, script, *, workers=1, **recipe):
    stage = Stage(standing, script, **recipe)
    task = asyncio.create_task(stage.fleet.run(workers))
    yield stage
    stage.fleet.stop()
    await task


def test_lines_of_workers_are_shown_with_their_number(standing):
    async def scene():
        async with running(standing, f"echo one; echo two >&2; {SLEEP}", workers=2) as stage:
            lines = {await stage.lines.get() for _ in range(4)}
        assert lines == {f"[worker {n}] {word}" for n in (1, 2) for word in ("one", "two")}

    asyncio.run(scene())


def test_a_worker_is_told_its_name_and_reads_nothing(standing):
    async def scene():
        async with running(standing, f'echo "$WORKER"; read -r line || echo end; {SLEEP}') as stage:
            name, end = await stage.said(), await stage.said()
            assert standing.platform.roster.counts(set())["initializing"] == 1
        assert name.startswith("local-1-")
        assert end == "end"

    asyncio.run(scene())


def test_a_worker_that_dies_is_started_again_under_another_name_and_its_job_returned(standing):
    async def scene():
        id = standing.submit()
        async with running(standing, 'echo "$WORKER"; kill -KILL $$') as stage:
            first = await stage.said()
            standing.take(first)
            second = await stage.said()
            assert first != second
            while (job := standing.store.find(id)).state is State.IN_PROGRESS:
                await stage.said()
        assert (job.state, job.retries) == (State.IN_QUEUE, 1)

    asyncio.run(scene())


def test_the_last_words_of_a_worker_are_shown_though_they_end_no_line(standing):
    async def scene():
        async with running(standing, 'printf "no newline"; exit 3') as stage:
            assert await stage.said() == "no newline"

    asyncio.run(scene())


def test_a_very_long_line_is_shown_in_parts(standing):
    async def scene():
        async with running(standing, f"head -c 200000 /dev/zero | tr '\\0' x; echo; {SLEEP}") as stage:
            seen = 0
            while seen < 200_000:
                seen += len(await stage.said())
        assert seen == 200_000

    asyncio.run(scene())


def test_a_dismissed_worker_may_finish_and_is_replaced(standing):
    async def scene():
        script = 'trap "echo finished; exit 0" TERM; echo "$WORKER"; while :; do sleep 0.05; done'
        async with running(standing, script) as stage:
            first = await stage.said()
            standing.submit()
            standing.take(first)
            standing.platform.dismiss(first)
            assert await stage.said() == "finished"
            assert await stage.said() != first
        (job,) = standing.store._jobs("1 = 1")
        assert (job.state, job.retries) == (State.IN_QUEUE, 0)

    asyncio.run(scene())


STUBBORN = 'trap "" TERM; echo "$WORKER"; while :; do sleep 0.05; done'


def test_a_worker_that_does_not_end_is_ended_after_its_grace(standing):
    async def scene():
        async with running(standing, STUBBORN, grace_s=0.05) as stage:
            await stage.said()

    asyncio.run(scene())


def test_a_second_stop_does_not_wait_for_the_grace(standing):
    async def scene():
        async with running(standing, STUBBORN) as stage:
            await stage.said()
            stage.fleet.stop()
        # leaving the context stops once more

    asyncio.run(scene())


def test_a_worker_that_is_being_started_when_all_is_told_to_end_ends_too(standing):
    async def scene():
        stage = Stage(standing, SLEEP)
        task = asyncio.create_task(stage.fleet.run(1))
        while not standing.platform.roster.counts(set())["initializing"]:
            await asyncio.sleep(0)
        stage.fleet.stop()
        await task

    asyncio.run(scene())


@pytest.mark.parametrize("end", ["kill -KILL $$", SLEEP])
def test_nothing_of_a_workers_group_is_left(standing, end):
    async def scene():
        async with running(standing, f"sleep 1000 & echo $!; {end}", backoff_s=1000.0) as stage:
            return int(await stage.said())

    child = asyncio.run(scene())
    until(lambda: not alive(child))  # it has been killed, and dies when it is its turn


def test_without_workers_there_is_nothing_to_wait_for(standing):
    async def scene():
        await Stage(standing, SLEEP).fleet.run(0)

    asyncio.run(scene())
