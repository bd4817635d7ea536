"""The tables of the ledger, and how a database is opened. Any SQLAlchemy address will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.pool import StaticPool

LONG = Text(16_000_000)  # MySQL's plain TEXT ends at 64 kB
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER

metadata = MetaData()
JOBS = Table(
    "shim_jobs",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True, comment="order of submission"),
    Column("id", String(191), nullable=False, unique=True),
    Column("type", String(64), nullable=False),
    Column("stage", String(16), nullable=False, index=True),
    Column("progress", Integer, nullable=False),
    Column("status", Text),
    Column("finish_reason", String(32)),
    Column("in_queue_ms", BigInteger, nullable=False),
    Column("start_ms", BigInteger),
    Column("finish_ms", BigInteger, index=True),
    Column("parts", LONG, nullable=False, comment="JSON"),
    Column("request", LONG, nullable=False, comment="JSON"),
    Column("deleted", Boolean, nullable=False, default=False, comment="kept so that it is not adopted anew"),
)
MESSAGES = Table(
    "shim_webhooks",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True, comment="order of completion"),
    Column("id", String(64), nullable=False, unique=True),
    Column("job_id", String(191), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", LONG, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("dead", Boolean, nullable=False, default=False, comment="given up undelivered"),
    Column("answer", Text, comment="what the last try came to"),
)


def open_database(url: str) -> Engine:
    """The database at ``url`` with the tables in it; ``sqlite://`` lives in memory. Folders of a file are made.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it cannot be opened.
    """
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        engine = create_engine(address, pool_pre_ping=True)
    elif address.database in (None, "", ":memory:"):
        engine = create_engine(address, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(address)
        event.listen(engine, "connect", _prepare_sqlite)
    metadata.create_all(engine)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Readers do not block the writer, and a commit survives the end of the process without waiting for the disk."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
