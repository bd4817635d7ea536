"""Weight files: from bytes on disk to tensors by name, and from tensors to a module.

Knows the two file forms (safetensors; torch zip or pickle, opened by the weights-only reader) and how to hand tensors
to a module without a copy. Knows no model family. Errors name the file, never its folder.
"""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fooocus_engine.errors import BadModelFile, ModelUnavailable

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=nn.Module)

NAMED_KEYS = 3  # keys told in an error before "and n more"


def read_file(path: Path) -> dict[str, Any]:
    """What a weight file holds, by key: tensors, or for torch files also nested dicts, lists and tuples of them.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: it is damaged, or holds anything that the weights-only reader refuses, or no dict.
    """
    content = read_content(path)
    if not isinstance(content, Mapping):
        raise BadModelFile(f"{path.name}: holds a {type(content).__name__}; a dict of tensors is needed")
    return {str(key): value for key, value in content.items()}


def read_content(path: Path) -> Any:
    """What a weight file holds: a dict as a rule, but a torch file may hold anything made of plain tensors.

    A ``state_dict`` wrapper is taken off (models.md §9).

    Tensors lie on the CPU and are memory-mapped where the form allows (safetensors, torch zip): nothing is read before
    it is used.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: it is damaged, or holds anything that the weights-only reader refuses.
    """
    if not path.is_file():
        raise ModelUnavailable(f"model file {path.name!r} is not installed")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    wrapped = isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping)
    return content["state_dict"] if wrapped else content


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name; other entries (counters, notes) are left out.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: unreadable, refused, or without any tensor.
    """
    weights = {key: value for key, value in read_file(path).items() if isinstance(value, Tensor)}
    if not weights:
        raise BadModelFile(f"{path.name}: holds no tensors")
    return weights


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadModelFile(f"{path.name}: not a readable safetensors file ({type(error).__name__})") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise BadModelFile(f"{path.name}: refused by the weights-only reader; only plain tensors are loaded") from error
    except Exception as error:  # a damaged file can fail the reader in any way
        raise BadModelFile(f"{path.name}: not a readable torch file ({type(error).__name__})") from error


def split_by_prefix(
    weights: Mapping[str, Tensor], prefixes: Collection[str]
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Tensors per prefix with the prefix taken off, and the keys that carry none of them. One pass over the keys."""
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    rest = []
    for key, tensor in weights.items():
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is None:
            rest.append(key)
        else:
            parts[prefix][key[len(prefix) :]] = tensor
    return parts, rest


def built(make: Callable[[], M], *, file: str, part: str) -> M:
    """What ``make`` returns, made on the meta device: sizes without memory.

    Raises:
        BadModelFile: the library refuses the sizes or settings that ``file`` and its companion tell.
    """
    try:
        with torch.device("meta"):
            return make()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise BadModelFile(f"{file}: no {part} can be made of its sizes and settings: {error}") from error


def assign(
    module: nn.Module, tensors: Mapping[str, Tensor], *, file: str, part: str, convert: Callable[[str, Tensor], Tensor]
) -> None:
    """Make ``tensors``, each passed through ``convert``, the parameters and buffers of ``module`` (on the meta device).

    A ``convert`` that returns its tensor as it is leaves it memory-mapped. Unknown names are passed over. The module
    ends in evaluation mode, without gradients.

    Raises:
        BadModelFile: a name is missing, or a shape differs; tells ``file``, ``part`` and a few names.
    """
    wanted = module.state_dict()
    if missing := wanted.keys() - tensors.keys():
        raise BadModelFile(f"{file}: the {part} lacks {listed(missing)}")
    pass_over(tensors.keys() - wanted.keys(), file=file, part=part)
    used = {name: tensors[name] for name in wanted}
    if differing := [name for name, tensor in used.items() if tensor.shape != wanted[name].shape]:
        name = differing[0]
        shapes = f"{tuple(used[name].shape)}, not {tuple(wanted[name].shape)}"
        raise BadModelFile(f"{file}: the {part} has weights of unexpected shape: {name} is {shapes}")
    module.load_state_dict({name: convert(name, tensor) for name, tensor in used.items()}, assign=True)
    module.eval().requires_grad_(False)


def pass_over(keys: Collection[str], *, file: str, part: str) -> None:
    """Warn of ``keys`` that no module reads (docs/decisions/0005)."""
    if keys:
        logger.warning("%s: the %s has weights that nothing reads: %s", file, part, listed(keys))


def listed(keys: Iterable[str]) -> str:
    """A few of ``keys`` in order, then how many more there are."""
    names = sorted(keys)
    more = f" and {len(names) - NAMED_KEYS} more" if len(names) > NAMED_KEYS else ""
    return ", ".join(names[:NAMED_KEYS]) + more
