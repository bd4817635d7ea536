"""Borrowed changes to the weights of a module: applied now, undone bit by bit later.

Takes a module and, per parameter name, a function from the pristine value to the new one. Originals wait in CPU
memory, so a change costs no device memory. Knows nothing of LoRA files or of what a module computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]
"""Pristine value → new value: same shape, the argument itself left alone."""


@contextmanager
def patched(module: nn.Module, changes: Mapping[str, Change]) -> Iterator[None]:
    """Change the named parameters; on exit, also by an error, each is bit-identical to before.

    Raises:
        KeyError: a change names no parameter (before anything is changed).
        ValueError: a change returns another shape (everything is put back first).
    """
    with apply_changes(module, changes):
        yield


@torch.no_grad()
def apply_changes(module: nn.Module, changes: Mapping[str, Change]) -> ExitStack:
    """Change the named parameters for as long as the caller likes; closing the result puts the originals back.

    The module may move to another device in between.

    Raises:
        KeyError, ValueError: as ``patched``.
    """
    parameters = dict(module.named_parameters())
    unknown = sorted(changes.keys() - parameters.keys())
    if unknown:
        raise KeyError(f"{type(module).__name__} has no parameter {', '.join(unknown)}")
    with ExitStack() as undo:
        for name, change in changes.items():
            parameter = parameters[name]
            value = change(parameter.detach())
            if value.shape != parameter.shape:
                raise ValueError(f"{name} is {list(parameter.shape)}, its change returned {list(value.shape)}")
            undo.callback(_put_back, parameter, parameter.detach().to("cpu", copy=True))
            parameter.copy_(value)
        return undo.pop_all()


@torch.no_grad()
def _put_back(parameter: nn.Parameter, original: Tensor) -> None:
    parameter.copy_(original)
