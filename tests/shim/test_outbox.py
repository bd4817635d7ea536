"""The outbox with a clock of our own: order for each address, and nothing is lost."""

from __future__ import annotations

import asyncio

import pytest

from fooocus_engine.jobs.webhook import Message
from fooocus_engine.shim.clerk import Clerk
from fooocus_engine.shim.outbox import Outbox

ONE, TWO = "https://one.example", "https://two.example"


class Book:
    """What the database was told."""

    def __init__(self, *waiting):
        self._waiting = list(waiting)
        self.told = []

    def waiting(self):
        return self._waiting

    def tried(self, message):
        self.told.append(("tried", message.id, message.tries))

    def forget(self, message):
        self.told.append(("forget", message.id))

    def bury(self, message, why):
        self.told.append(("bury", message.id, why))


def message(name, url=ONE):
    return Message(name, url, b"{}", 0)


def played(scene, *waiting):
    """What the database was told while ``scene(outbox, clock)`` was played."""
    book, clock = Book(*waiting), [0.0]

    async def play():
        clerk = Clerk("test")
        outbox = Outbox(book, clerk, clock=lambda: clock[0])
        await outbox.load()
        await scene(outbox, clock)
        await outbox.written()
        clerk.close()

    asyncio.run(play())
    return book.told


def names(messages):
    return [(m.id, m.tries) for m in messages]


def test_the_first_message_to_each_address_is_due():
    async def scene(outbox, clock):
        for name, url in (("a", ONE), ("b", TWO), ("c", ONE)):
            outbox.put(message(name, url))
        first = outbox.claim(60)
        assert names(first) == [("a", 1), ("b", 1)]
        assert outbox.claim(60) == []
        outbox.settle(first[0])
        assert names(outbox.claim(60)) == [("c", 1)]

    assert played(scene) == [("tried", "a", 1), ("tried", "b", 1), ("forget", "a"), ("tried", "c", 1)]


def test_a_postponed_message_holds_back_those_behind_it():
    async def scene(outbox, clock):
        outbox.put(message("a"))
        outbox.put(message("b"))
        outbox.postpone(outbox.claim(60)[0], 5)
        clock[0] = 4.9
        assert outbox.claim(60) == []
        clock[0] = 5
        (again,) = outbox.claim(60)
        assert names([again]) == [("a", 2)]
        outbox.bury(again, "status 500")
        assert names(outbox.claim(60)) == [("b", 1)]

    assert ("bury", "a", "status 500") in played(scene)


def test_what_waited_before_goes_first():
    async def scene(outbox, clock):
        outbox.put(message("new"))
        (first,) = outbox.claim(60)
        assert names([first]) == [("old", 1)]

    played(scene, message("old"))


@pytest.mark.parametrize("happens", ["put", "postponed", "settled"])
def test_whoever_waits_for_something_due_hears_of_it(happens):
    async def scene(outbox, clock):
        if happens != "put":
            outbox.put(message("a"))
            outbox.put(message("b"))
            (claimed,) = outbox.claim(60)
        waiting = asyncio.create_task(outbox.due())
        await asyncio.sleep(0)
        assert not waiting.done()
        match happens:
            case "put":
                outbox.put(message("a"))
            case "postponed":
                outbox.postpone(claimed, 0)
            case "settled":
                outbox.settle(claimed)
        await asyncio.wait_for(waiting, 60)
        assert outbox.claim(60)

    played(scene)


def test_a_database_that_fails_stops_no_delivery(caplog):
    class Broken(Book):
        def forget(self, message):
            raise OSError("disk")

    async def play():
        clerk = Clerk("test")
        outbox = Outbox(Broken(), clerk)
        outbox.put(message("a"))
        outbox.settle(outbox.claim(60)[0])
        outbox.put(message("b"))
        assert names(outbox.claim(60)) == [("b", 1)]
        await outbox.written()
        clerk.close()

    asyncio.run(play())
    assert "may be sent again: disk" in caplog.text
