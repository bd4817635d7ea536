"""The platform's webhooks that are on their way, in the queue's own file: stored together with the end they tell."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from fooocus_engine.jobs.webhook import Message
from fooocus_engine.local_platform.database import Clock, Database


@dataclass(frozen=True)
class StoredOutbox:
    """An ``Outbox`` of ``jobs/webhook.py``."""

    database: Database
    clock: Clock

    def put(self, url: str, body: str) -> None:
        """A message, due at once; belongs inside the change that ends its job."""
        self.database.run("INSERT INTO outbox VALUES (?, ?, ?, 0, ?)", str(uuid.uuid4()), url, body, self.clock())

    def claim(self, claim_s: float) -> list[Message]:
        """All that are due, as tried once more and due again after ``claim_s``."""
        now = self.clock()
        if not self.database.rows("SELECT 1 FROM outbox WHERE due_ms <= ? LIMIT 1", now):
            return []
        with self.database.changing():
            rows = self.database.rows(
                "UPDATE outbox SET tries = tries + 1, due_ms = ? WHERE due_ms <= ? RETURNING id, url, body, tries",
                now + int(claim_s * 1000),
                now,
            )
        return [Message(row["id"], row["url"], row["body"].encode(), row["tries"]) for row in rows]

    def settle(self, message: Message) -> None:
        """It has arrived."""
        with self.database.changing():
            self.database.run("DELETE FROM outbox WHERE id = ?", message.id)

    def bury(self, message: Message, why: str) -> None:
        """It will never arrive; the client can still ask for the status."""
        self.settle(message)

    def postpone(self, message: Message, wait_s: float) -> None:
        """Due again after ``wait_s``."""
        due_ms = self.clock() + int(wait_s * 1000)
        with self.database.changing():
            self.database.run("UPDATE outbox SET due_ms = ? WHERE id = ?", due_ms, message.id)
