"""Tells of jobs: entries with their pictures as the documented replies (api.md §4.1–§4.5)."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass

from fooocus_engine.jobs.record import FinishReason
from fooocus_engine.output.publish import data_url
from fooocus_engine.shim import replies
from fooocus_engine.shim.entries import Entry, Picture
from fooocus_engine.shim.gallery import Gallery, media_type_of


@dataclass(frozen=True)
class Teller:
    """``bare`` leaves the ``data:`` prefix of base64 out, as old versions did."""

    gallery: Gallery
    bare: bool

    async def results(self, entry: Entry) -> list[replies.Result]:
        """The result objects of an ended job: its pictures, and one more if it was given up."""
        with_base64 = bool(entry.request.get("require_base64"))
        results = [await self._result(picture, with_base64) for picture in entry.pictures]
        if entry.record.finish_reason is FinishReason.USER_CANCEL:
            results.append(replies.no_picture(FinishReason.USER_CANCEL.value))
        return results

    async def job(self, entry: Entry, preview: str | None = None) -> replies.Job:
        """The job object."""
        match entry.record.finish_reason:
            case FinishReason.SUCCESS:
                return replies.job(entry, await self.results(entry), preview)
            case FinishReason.USER_CANCEL:
                return replies.job(entry, [replies.no_picture(FinishReason.USER_CANCEL.value)], preview)
            case _:
                return replies.job(entry, None, preview)

    def task(self, entry: Entry) -> replies.Task:
        """The long form of an ended job in the history."""
        pictures = entry.pictures if entry.record.finish_reason is FinishReason.SUCCESS else ()
        return replies.task(entry, [url for picture in pictures if (url := self.gallery.address(picture))])

    async def _result(self, picture: Picture, with_base64: bool) -> replies.Result:
        data = await asyncio.to_thread(self.gallery.read, picture) if with_base64 else None
        return replies.Result(
            base64=None if data is None else self._text(data, picture),
            url=self.gallery.address(picture),
            seed=picture.seed,
            finish_reason=FinishReason.SUCCESS.value,
        )

    def _text(self, data: bytes, picture: Picture) -> str:
        if self.bare:
            return base64.b64encode(data).decode("ascii")
        return data_url(data, media_type_of(picture.file or ""))
