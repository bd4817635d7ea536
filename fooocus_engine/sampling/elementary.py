"""Logarithm and exponential of float32 numbers that come out the same on every processor (docs/decisions/0006).

Computed in float64 and rounded once: the library's float32 routines differ in a last bit between makes of processor.
"""

from __future__ import annotations

from torch import Tensor


def log(x: Tensor) -> Tensor:
    """Natural logarithm, in the dtype of ``x``."""
    return x.double().log().to(x.dtype)


def exp(x: Tensor) -> Tensor:
    """Exponential, in the dtype of ``x``."""
    return x.double().exp().to(x.dtype)
