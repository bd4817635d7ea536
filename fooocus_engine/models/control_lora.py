"""Control-LoRA: a small file that turns the base UNet's encoder into a control network (image-control.md §3).

The network shares the base's parameters; a layer that the file changes adds ``up · down`` to its weight at each use.
So the base stays as it is, the network follows whatever is merged into it, and costs no more memory than the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.sinusoids import settle_sinusoids
from fooocus_engine.models.weights import assign, built, listed, read_weights

MARKER = "lora_controlnet"
HINT = "input_hint_block."
UP, DOWN = ".up", ".down"
HINT_WEIGHT = re.compile(r"input_hint_block\.\d{1,3}\.weight")
HINT_BIAS = re.compile(r"input_hint_block\.\d{1,3}\.bias")
HINT_STEP = 4  # indices between two convolutions that set a new width; the published ones are 16, 32, 96, 256


@dataclass(frozen=True, eq=False)
class ControlLora:
    """The tensors of a file by their keys, without the marker, in the UNet's dtype and on its device."""

    file: str
    tensors: Mapping[str, Tensor]

    @classmethod
    def load(cls, path: Path, device: torch.device, dtype: torch.dtype) -> ControlLora:
        """The control-LoRA of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is unreadable or no control-LoRA.
        """
        weights = read_weights(path)
        if weights.pop(MARKER, None) is None:
            raise BadModelFile(f"{path.name}: not a control-LoRA; it has no key {MARKER}")
        return cls(path.name, {key: tensor.to(device, dtype) for key, tensor in weights.items()})


class LowRank(nn.Module):
    """``W + up · down`` for a weight ``W`` of any shape: ``up [out, r]``, ``down [r, …]`` (image-control.md §3)."""

    def __init__(self, up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.up = nn.Parameter(up, requires_grad=False)
        self.down = nn.Parameter(down, requires_grad=False)

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight; ``weight`` itself is left alone."""
        return weight + (self.up.flatten(1) @ self.down.flatten(1)).reshape(weight.shape)


@dataclass(frozen=True, eq=False)
class ControlNetwork:
    """A control network upon a base UNet."""

    module: ControlNetModel
    own: Mapping[str, nn.Parameter]
    """The file's tensors as the module uses them, by their keys; every other parameter is the base's own."""

    @classmethod
    def upon(cls, base: DiffusionModel, lora: ControlLora) -> ControlNetwork:
        """``lora`` upon the UNet of ``base``, sharing its parameters.

        Raises:
            BadModelFile: the file lacks a part, or does not fit this UNet.
        """
        _require_form(lora)
        names = _module_names(lora, base.unet_names)
        module = _unfilled(base, lora)
        wanted = module.state_dict().keys()
        if stray := [key for key, name in names.items() if name not in wanted]:
            raise BadModelFile(f"{lora.file}: changes what this base model does not have: {listed(stray)}")
        full = {name: lora.tensors[key] for key, name in names.items() if not key.endswith((UP, DOWN))}
        shared = {name: value for name, value in base.unet.named_parameters() if name in wanted}
        assign(module, shared | full, file=lora.file, part="control network", convert=lambda _, tensor: tensor)
        settle_sinusoids(module, base.device)
        own = {key: module.get_parameter(names[key]) for key in names if not key.endswith((UP, DOWN))}
        for key in lora.tensors:
            if key.endswith(UP):
                own |= _changed(module, names[key], key.removesuffix(UP), lora)
        return cls(module, own)


def _require_form(lora: ControlLora) -> None:
    """Raise unless keys and dimensions are such that the network's structure can be read from them."""
    for key, tensor in lora.tensors.items():
        is_hint = HINT_BIAS.fullmatch(key) or (HINT_WEIGHT.fullmatch(key) and tensor.ndim == 4)
        if key.startswith(HINT) and not is_hint:
            raise BadModelFile(f"{lora.file}: {key} of shape {list(tensor.shape)} is no part of a hint encoder")
        if key.endswith((UP, DOWN)) and tensor.ndim < 2:
            raise BadModelFile(f"{lora.file}: {key} of shape {list(tensor.shape)} is no factor of a weight")


def _unfilled(base: DiffusionModel, lora: ControlLora) -> ControlNetModel:
    """The network's structure without memory: the base's encoder, and a hint encoder as wide as the file's."""
    first = lora.tensors.get(f"{HINT}0.weight")
    if first is None:
        raise BadModelFile(f"{lora.file}: the control network lacks {HINT}0.weight")
    widths = [_hint_width(lora, index) for index in range(0, _last_hint(lora), HINT_STEP)]
    return built(
        lambda: ControlNetModel.from_unet(
            base.unet,
            conditioning_embedding_out_channels=widths,
            conditioning_channels=first.shape[1],
            load_weights_from_unet=False,
        ),
        file=lora.file,
        part="control network",
    )


def _hint_width(lora: ControlLora, index: int) -> int:
    weight = lora.tensors.get(f"{HINT}{index}.weight")
    if weight is None:
        raise BadModelFile(f"{lora.file}: the control network lacks {HINT}{index}.weight")
    return weight.shape[0]


def _last_hint(lora: ControlLora) -> int:
    """Index of the hint encoder's last convolution."""
    return max(int(key.split(".")[1]) for key in lora.tensors if key.startswith(HINT))


def _module_names(lora: ControlLora, unet_names: Mapping[str, str]) -> dict[str, str]:
    """The module's parameter of every key of the file; of both factors of a delta that of the weight they change."""
    last = _last_hint(lora) if any(key.startswith(HINT) for key in lora.tensors) else 0
    names = {}
    for key in lora.tensors:
        layer, _, kind = key.rpartition(".")
        match layer.split("."):
            case ["input_hint_block", index]:
                names[key] = f"controlnet_cond_embedding.{_hint_layer(int(index), last)}.{kind}"
            case ["zero_convs", index, "0"]:
                names[key] = f"controlnet_down_blocks.{index}.{kind}"
            case ["middle_block_out", "0"]:
                names[key] = f"controlnet_mid_block.{kind}"
            case _:
                changed = f"{layer}.weight" if key.endswith((UP, DOWN)) else key
                names[key] = unet_names.get(changed, key)
    return names


def _hint_layer(index: int, last: int) -> str:
    # Every second index is an activation.
    return "conv_in" if index == 0 else "conv_out" if index == last else f"blocks.{index // 2 - 1}"


def _changed(module: ControlNetModel, name: str, layer: str, lora: ControlLora) -> dict[str, nn.Parameter]:
    """Have the weight ``name`` changed by the file's factors of ``layer``; the factors as parameters, by their keys."""
    up, down = lora.tensors[layer + UP], lora.tensors.get(layer + DOWN)
    weight = module.get_parameter(name)
    if down is None:
        raise BadModelFile(f"{lora.file}: {layer} has no {DOWN.removeprefix('.')}")
    rows, columns = up.flatten(1), down.flatten(1)
    if rows.shape[1] != columns.shape[0] or (len(rows), columns.shape[1]) != weight.flatten(1).shape:
        shapes = f"{list(up.shape)} and {list(down.shape)}"
        raise BadModelFile(f"{lora.file}: {layer}'s factors {shapes} do not fit a weight of {list(weight.shape)}")
    factors = LowRank(up, down)
    owner, _, kind = name.rpartition(".")
    # ``unsafe`` only leaves out a trial call; shapes are checked above.
    parametrize.register_parametrization(module.get_submodule(owner), kind, factors, unsafe=True)
    return {layer + UP: factors.up, layer + DOWN: factors.down}
