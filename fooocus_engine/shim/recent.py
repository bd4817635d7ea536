"""The jobs that ended last, in memory: most questions are about these, and none of them needs the database."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from fooocus_engine.shim.entries import Entry


class Recent:
    """At most ``most`` entries, those noted or asked for last. An ended job never changes, so none is outdated."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def note(self, entry: Entry) -> None:
        """Remember an ended job."""
        self._entries[entry.id] = entry
        self._entries.move_to_end(entry.id)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def find(self, job_id: str) -> Entry | None:
        """The job, if it is remembered."""
        entry = self._entries.get(job_id)
        if entry is not None:
            self._entries.move_to_end(job_id)
        return entry

    def forget(self, job_ids: Iterable[str]) -> None:
        """These were deleted."""
        for job_id in job_ids:
            self._entries.pop(job_id, None)
