"""Borrowed changes to the weights of a module: applied now, undone bit by bit later; or made in a twin beside it.

Takes a module and, per parameter name, what makes the new value of the pristine one. Originals wait in CPU memory, so
a change in place costs no device memory. Knows nothing of LoRA files or of what a module computes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Change(Protocol):
    """What makes a new value of a parameter."""

    def __call__(self, pristine: Tensor, /, out: Tensor) -> None:
        """Write the new value into ``out``: shape, dtype, device of ``pristine``, and maybe the same memory."""


@dataclass(frozen=True, eq=False)
class Borrowed:
    """Changes that last until this is closed; also a context manager that closes it."""

    parameters: Mapping[str, nn.Parameter]
    originals: Mapping[str, Tensor]
    """In CPU memory, under the names of the changed ones among ``parameters``."""

    @torch.no_grad()
    def close(self) -> None:
        """Put every original back. The module may have moved to another device meanwhile."""
        for name, original in self.originals.items():
            self.parameters[name].copy_(original)

    def __enter__(self) -> Borrowed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def patched(module: nn.Module, changes: Mapping[str, Change]) -> Iterator[None]:
    """Change the named parameters; on exit, also by an error, each is bit-identical to before.

    Raises:
        KeyError: a change names no parameter (before anything is changed).
    """
    with apply_changes(module, changes):
        yield


@torch.no_grad()
def apply_changes(module: nn.Module, changes: Mapping[str, Change]) -> Borrowed:
    """Change the named parameters for as long as the caller likes; closing the result puts the originals back.

    Raises:
        KeyError: as ``patched``.
    """
    parameters = _named(module, changes)
    originals: dict[str, Tensor] = {}
    borrowed = Borrowed(parameters, originals)
    try:
        for name, change in changes.items():
            value = parameters[name].detach()
            originals[name] = value.to("cpu", copy=True)
            change(value, out=value)
    except BaseException:
        borrowed.close()
        raise
    return borrowed


@torch.no_grad()
def patched_twin(
    module: M, changes: Mapping[str, Change], pristine: Mapping[str, Tensor], memory: Mapping[str, Tensor]
) -> M:
    """A second module with the named parameters changed; it shares all others with ``module``, which stays untouched.

    ``pristine`` holds values to start from where those of ``module`` are changed ones, on any device. ``memory`` holds
    tensors of the named parameters' own shape, dtype, device and strides that may be written over.

    Raises:
        KeyError: a change names no parameter.
    """
    parameters = _named(module, changes)
    copies: dict[int, nn.Parameter] = {id(parameter): parameter for parameter in parameters.values()}
    for name, change in changes.items():
        own = parameters[name]
        value = memory[name] if name in memory else torch.empty_like(own)
        assert (value.shape, value.stride(), value.dtype, value.device) == (
            own.shape,
            own.stride(),
            own.dtype,
            own.device,
        )
        change(pristine.get(name, own.detach()).to(own.device), out=value)
        copies[id(own)] = nn.Parameter(value, requires_grad=own.requires_grad)
    return copy.deepcopy(module, copies)  # what the second argument holds is taken from there


def _named(module: nn.Module, changes: Mapping[str, Change]) -> dict[str, nn.Parameter]:
    parameters = dict(module.named_parameters())
    if unknown := sorted(changes.keys() - parameters.keys()):
        raise KeyError(f"{type(module).__name__} has no parameter {', '.join(unknown)}")
    return parameters
