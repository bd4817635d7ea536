"""Who waits for what on the event loop: a poll sleeps on a topic until somebody rings it or its time is over."""

from __future__ import annotations

import asyncio


class Bells:
    """Topics are plain texts. To wait for a condition: check it, wait for the topic, check again."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[str]]] = {}

    def ring(self, topic: str) -> None:
        """Wake everybody who waits for this topic now."""
        for waiter in self._waiting.get(topic, ()):
            if not waiter.done():
                waiter.set_result(topic)

    async def heard(self, *topics: str, timeout_s: float | None) -> str | None:
        """The first of the topics that is rung within the time; ``None`` as time is for ever."""
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for topic in topics:
            self._waiting.setdefault(topic, set()).add(waiter)
        try:
            return await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            return None
        finally:
            for topic in topics:
                self._forget(topic, waiter)

    def _forget(self, topic: str, waiter: asyncio.Future[str]) -> None:
        self._waiting[topic].discard(waiter)
        if not self._waiting[topic]:
            del self._waiting[topic]
