"""How patient the door is: with the platform, with its jobs, with receivers of webhooks. Tests are in a hurry."""

from __future__ import annotations

from dataclasses import dataclass, field

from fooocus_engine.jobs.webhook import CLIENT_RULES, TIMEOUT_S, Rules
from fooocus_engine.shim.pace import Pace
from fooocus_engine.shim.platform import Patience


@dataclass(frozen=True)
class Tempo:
    """Every time of the door that is no setting."""

    pace: Pace = field(default_factory=Pace)
    patience: Patience = field(default_factory=Patience)
    webhooks: Rules = CLIENT_RULES
    webhook_timeout_s: float = TIMEOUT_S


TEMPO = Tempo()
