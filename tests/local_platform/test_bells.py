"""Waiting for topics."""

import asyncio

from fooocus_engine.local_platform.bells import Bells


def test_a_rung_topic_wakes_all_who_wait_for_it_and_nobody_else():
    async def scene():
        bells = Bells()
        waits = [asyncio.ensure_future(bells.heard(*topics, timeout_s=30)) for topics in (["a"], ["b", "a"], ["c"])]
        await asyncio.sleep(0)
        bells.ring("a")
        bells.ring("a")
        assert await asyncio.gather(*waits[:2]) == ["a", "a"]
        assert not waits[2].done()
        bells.ring("c")
        return await waits[2]

    assert asyncio.run(scene()) == "c"


def test_without_a_ring_the_time_runs_out():
    assert asyncio.run(Bells().heard("a", timeout_s=0.001)) is None


def test_a_ring_before_the_wait_is_not_heard():
    async def scene():
        bells = Bells()
        bells.ring("a")
        return await bells.heard("a", timeout_s=0.001)

    assert asyncio.run(scene()) is None


def test_nobody_who_gave_up_is_kept():
    async def scene():
        bells = Bells()
        wait = asyncio.ensure_future(bells.heard("a", "b", timeout_s=None))
        await asyncio.sleep(0)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)
        return bells._waiting

    assert asyncio.run(scene()) == {}
