"""Which neighbour a noise level takes that lies midway between two entries of a table (docs/decisions/0006).

Schedules in even timesteps hit such middles. The reference compares float32 distances there, so a last bit of its
logarithm decides. These are its decisions as recorded on an ordinary processor, one bit a middle, the first one lowest:
set where the higher entry wins.
"""

from __future__ import annotations

FULL = int(
    "2a4112055a04071006036a0a2a0d5042629300b8000012100a0d080a0800101020352480ec7090a03010"
    "02004a0086e0988645230a2db010112de88140959f59900258f4c47923e29a2b9c913b8f8616a16b2950"
    "45b238754cdb480404c837139360394864086a0e18101430b200208022000222600d4a541031100100",
    16,
)
FEW_STEP = 0x4082F0E90260


def higher_wins(decisions: int, lower: int) -> bool:
    """Whether the entry after ``lower`` wins the middle between the two."""
    return bool(decisions >> lower & 1)
