"""The webhooks in the ledger's database. Blocks; ``outbox.py`` keeps it off the event loop."""

from __future__ import annotations

from sqlalchemy import Engine, delete, select, update

from fooocus_engine.jobs.webhook import Message
from fooocus_engine.shim.tables import MESSAGES


class Messages:
    """Those that wait, and the dead letters."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def waiting(self) -> list[Message]:
        """All that are neither delivered nor given up, in order of completion."""
        return self._found(dead=False)

    def dead(self) -> list[Message]:
        """Those that were given up."""
        return self._found(dead=True)

    def tried(self, message: Message) -> None:
        """Note how often it was tried."""
        self._change(message, tries=message.tries)

    def forget(self, message: Message) -> None:
        """It is delivered."""
        with self._engine.begin() as connection:
            connection.execute(delete(MESSAGES).where(MESSAGES.c.id == message.id))

    def bury(self, message: Message, why: str) -> None:
        """It will never be delivered; ``why`` is what the last try came to."""
        self._change(message, dead=True, answer=why)

    def _change(self, message: Message, **columns: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(MESSAGES).where(MESSAGES.c.id == message.id).values(**columns))

    def _found(self, *, dead: bool) -> list[Message]:
        query = select(MESSAGES).where(MESSAGES.c.dead.is_(dead)).order_by(MESSAGES.c.number)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Message(row["id"], row["url"], row["body"].encode(), row["tries"]) for row in rows]
