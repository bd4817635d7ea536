"""Runs what blocks, one thing after the other, on a thread of its own: what was asked first is done first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


class Clerk:
    """Has one thread, until it is closed."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, work: Callable[..., Result], *given: Any, **named: Any) -> Result:
        """What ``work(*given, **named)`` gives or raises. It is done even if nobody waits for it any more."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *given, **named))

    def close(self) -> None:
        """Finish what was asked for, and end."""
        self._thread.shutdown()
