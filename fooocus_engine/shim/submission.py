"""Hands orders to the platform, one after the other, so that the platform's order is the order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fooocus_engine.errors import EngineError
from fooocus_engine.shim.follower import DoorCloses
from fooocus_engine.shim.orders import Order
from fooocus_engine.shim.payload import Packer, Parcel
from fooocus_engine.shim.platform import Platform, PlatformJob, PlatformUnreachable
from fooocus_engine.shim.settings import ShimSettings

SUBMIT_S = 90.0  # longest time until the platform has taken a job, other submits before it included


class Submission:
    """The line in front of ``run``. An order that somebody waits for may go by ``runsync``, beside the line."""

    def __init__(self, platform: Platform, packer: Packer, settings: ShimSettings) -> None:
        self._platform = platform
        self._packer = packer
        self._settings = settings
        self._line = asyncio.Lock()
        self._closed = False

    async def sent(self, order: Order) -> list[PlatformJob]:
        """The platform's jobs for an order: all of its parts, or none.

        Raises:
            QueueFull: the platform takes no more.
            DoorCloses: the process ends; nothing was sent.
            EngineError: the platform did not take it.
        """
        alone = order.waits and len(order.parts) == 1
        packed = [await self._packer.pack(part, policy=order.policy, waited_for=alone) for part in order.parts]
        if alone and (self._settings.sync_mode == "runsync" or packed[0].by_runsync):
            return [await self._platform.run_sync(packed[0].body, wait_s=self._settings.sync_timeout_s)]
        jobs: list[PlatformJob] = []
        try:
            async with asyncio.timeout(SUBMIT_S), self._line:
                await self._run(packed, jobs)
        except TimeoutError:
            await self.take_back(jobs)
            raise PlatformUnreachable(f"the platform did not take the job within {SUBMIT_S:g} s") from None
        except EngineError:
            await self.take_back(jobs)
            raise
        return jobs

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True

    async def take_back(self, jobs: Iterable[PlatformJob]) -> None:
        """Give up jobs that nobody will ask about."""
        for job in jobs:
            await self._platform.give_up(job.id)

    async def _run(self, packed: Iterable[Parcel], jobs: list[PlatformJob]) -> None:
        """Grows ``jobs`` by one for each parcel."""
        if self._closed:
            raise DoorCloses("the server is stopping")
        for parcel in packed:
            jobs.append(await self._platform.run(parcel.body))
