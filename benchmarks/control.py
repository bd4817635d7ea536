"""``python -m benchmarks.control``: what a control-LoRA of the published rank costs in memory on a UNet of full size.

A control network and the UNet run one call of a step in float16 at the sizes of a 1024×1024 picture, without numbers:
tensors are on the meta device, which has shapes and no memory. Every tensor that an operation makes is counted for as
long as it lives. The floor is the UNet alone; beside it stands what an encoder would weigh that is a copy.
"""

from __future__ import annotations

import argparse
import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.measure import report
from fooocus_engine.conditioning.control import ImageControl
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.types import UNetCall
from tests.models import layouts
from tests.models.control_files import control_file

AIM = 0.15  # of the UNet
RANK = 128
TEXTS, WORDS, WIDTH, POOLED = 2, 77, 2048, 1280
GIB = 1024**3
NOWHERE = torch.device("meta")


class Living(TorchDispatchMode):
    """Bytes of the tensors that operations made and that are still there, and the most there were at once."""

    def __init__(self, *weights_of: torch.nn.Module) -> None:
        """Views of the weights of these modules are no new tensors."""
        super().__init__()
        self.now = self.peak = 0
        self._seen = {weight.untyped_storage()._cdata for module in weights_of for weight in module.parameters()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def main() -> None:
    """Build the networks, run them, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__)
    parser.add_argument("--side", type=int, default=1024, help="pixels of the picture's sides")
    side: int = parser.parse_args().side // 8
    base = full_size()
    network = ControlNetwork.upon(base, ControlLora("published rank", published(base)))
    unet = total(base.unet)
    own = total(network.module) - shared(network, base)
    with torch.device(NOWHERE), torch.inference_mode():
        with Living(base.unet) as living:
            call_unet(base, side)
        alone = living.peak
        with Living(base.unet, network.module) as living:
            call_both(base, network, side)
        together = living.peak
    more = own + together - alone
    rows = [
        ("UNet", f"{unet / GIB:.3f} GiB"),
        ("weights of the control-LoRA", f"{own / GIB:.3f} GiB"),
        ("a copied encoder would weigh", f"{total(network.module) / GIB:.3f} GiB"),
        ("peak of a call of the UNet alone", f"{alone / GIB:.3f} GiB"),
        ("peak of both", f"{together / GIB:.3f} GiB"),
        (f"more at the peak / UNet (aim {AIM})", f"{more / unet:.3f}"),
    ]
    report(f"A control-LoRA of rank {RANK} on a UNet of full size, a picture of {8 * side}x{8 * side}", rows)


def full_size() -> DiffusionModel:
    """A model with nothing but a UNet of the published sizes."""
    unet = layouts.meta_unet(layouts.SDXL_UNET).half().eval().requires_grad_(False)
    names = {layouts.ldm_unet_key(name, layouts.SDXL_UNET): name for name, _ in unet.named_parameters()}
    return DiffusionModel("sdxl", unet, None, None, "epsilon", names, 0.13025, NOWHERE, torch.float16)


def published(base: DiffusionModel) -> dict[str, Tensor]:
    """The tensors of a control-LoRA of the published rank."""
    weights = {key: base.unet.get_parameter(name) for key, name in base.unet_names.items()}
    tensors = {
        key: torch.empty_like(tensor, dtype=torch.float16) for key, tensor in control_file(weights, RANK).items()
    }
    del tensors["lora_controlnet"]
    return tensors


def total(module: torch.nn.Module) -> int:
    """Bytes of its weights."""
    return sum(weight.nbytes for weight in module.parameters())


def shared(network: ControlNetwork, base: DiffusionModel) -> int:
    """Bytes of the control network's weights that are the base's own."""
    theirs = {id(weight) for weight in base.unet.parameters()}
    return sum(weight.nbytes for weight in network.module.parameters() if id(weight) in theirs)


def call(side: int) -> UNetCall:
    """What a UNet is told in a call of both texts."""
    added = {"text_embeds": torch.empty(TEXTS, POOLED, dtype=torch.float16), "time_ids": torch.empty(TEXTS, 6)}
    x = torch.empty(TEXTS, 4, side, side, dtype=torch.float16)
    return UNetCall(x, torch.empty(TEXTS), torch.empty(TEXTS, WORDS, WIDTH, dtype=torch.float16), added)


def call_unet(base: DiffusionModel, side: int, **residuals: Any) -> None:
    """The UNet alone."""
    told = call(side)
    base.unet(
        told.x, told.timesteps, encoder_hidden_states=told.cross_attention, added_cond_kwargs=told.added, **residuals
    )


def call_both(base: DiffusionModel, network: ControlNetwork, side: int) -> None:
    """A control network, then the UNet with what it said."""
    hint = torch.empty(1, 3, 8 * side, 8 * side, dtype=torch.float16)
    said = ImageControl(network, hint, weight=1.0, stop=1.0, softness=0.25).residuals(call(side))
    call_unet(base, side, down_block_additional_residuals=said.skips, mid_block_additional_residual=said.middle)


if __name__ == "__main__":
    main()
