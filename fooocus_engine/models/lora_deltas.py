"""The arithmetic of LoRA-type files: what each kind adds to a weight (models.md §6.3).

Takes the tensors of one weight under short role names ("up", "w1_a", …) and the weight itself, gives the new weight in
float32. Knows no file, no key and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
Product = tuple[Tensor, int | None]
"""A change before scaling, of as many values as the weight, and the rank that divides alpha (None: no scaling)."""
Formula = Callable[[Tensor, Tensors], Product]
LEVELS = 255  # of a quantised difference, above its lowest
BLOCK = 1 << 20  # numbers that a processor sums at once: few enough that their float32 forms stay in its last cache


@dataclass(frozen=True, eq=False)
class Delta:
    """What one file says about one weight."""

    formula: Formula
    tensors: Tensors
    alpha: float | None = None

    def added(self, weight: Tensor, strength: float) -> Tensor:
        """``weight`` (float32) plus ``strength`` times this change, computed on the weight's device.

        Raises:
            RuntimeError: the tensors do not fit one another or the weight.
        """
        tensors = {role: tensor.to(weight.device, torch.float32) for role, tensor in self.tensors.items()}
        change, rank = self.formula(weight, tensors)
        scale = strength if self.alpha is None or rank is None else strength * self.alpha / rank
        return weight + scale * change.reshape(weight.shape)

    def fits(self, shape: torch.Size) -> bool:
        """Whether a weight of this shape can take the change; tried on the meta device, so nothing is computed."""
        if self.goes_by_blocks(shape):
            return True
        on_meta = Delta(self.formula, {role: tensor.to("meta") for role, tensor in self.tensors.items()}, self.alpha)
        try:
            on_meta.added(torch.empty(shape, device="meta"), 1.0)
        except (RuntimeError, IndexError, ZeroDivisionError):  # how torch refuses shapes; a rank of 0
            return False
        return True

    def goes_by_blocks(self, shape: torch.Size) -> bool:
        """Whether ``plus_quantised`` can add it to a weight of this shape."""
        if self.formula is not quantised or not shape:
            return False
        levels, ends = self.tensors["levels"], (self.tensors["low"], self.tensors["high"])
        return levels.shape == shape and all(end.numel() == 1 for end in ends)


def full(weight: Tensor, t: Tensors) -> Product:
    """A plain difference; its shape must be the weight's own."""
    if t["diff"].shape != weight.shape:
        raise RuntimeError(f"a difference of shape {list(t['diff'].shape)} for a weight of {list(weight.shape)}")
    return t["diff"], None


def low_rank(weight: Tensor, t: Tensors) -> Product:
    """LoRA (Hu et al. 2021, arXiv:2106.09685) and its convolution form, with "mid" in Tucker form."""
    down = t["down"]
    if "mid" in t:
        down = torch.einsum("bi,abkl->aikl", down.flatten(1), t["mid"])
    return t["up"].flatten(1) @ down.flatten(1), t["down"].shape[0]


def hadamard(weight: Tensor, t: Tensors) -> Product:
    """LoHa (FedPara, Hyeon-Woo et al. 2021, arXiv:2108.06098): the elementwise product of two low-rank ones."""
    return _factor(t, "1") * _factor(t, "2"), t["w1_b"].shape[0]


def kronecker(weight: Tensor, t: Tensors) -> Product:
    """LoKr (Yeh et al. 2023, arXiv:2309.14859): a Kronecker product, each factor whole or a low-rank product."""
    w1, w2 = _factor(t, "1"), _factor(t, "2")
    if w2.dim() == 4:
        w1 = w1[..., None, None]
    rank = next((t[role].shape[0] for role in ("w2_b", "w1_b") if role in t), None)
    return torch.kron(w1.contiguous(), w2.contiguous()), rank  # kron takes views of its inputs


def generalised(weight: Tensor, t: Tensors) -> Product:
    """GLoRA (Chavan et al. 2023, arXiv:2306.07967): also multiplies the weight as it is at this point of the stack."""
    a1, a2, b1, b2 = (t[role].flatten(1) for role in ("a1", "a2", "b1", "b2"))
    return b2 @ b1 + (weight.flatten(1) @ a2) @ a1, a1.shape[0]


def quantised(weight: Tensor, t: Tensors) -> Product:
    """A difference in 256 levels between "low" and "high" (models.md §6.4)."""
    return t["levels"] / LEVELS * (t["high"] - t["low"]) + t["low"], None


def plus_quantised(weight: Tensor, t: Tensors, strength: float, out: Tensor) -> None:
    """Write ``weight`` plus a ``quantised`` difference whose ends are single numbers: the same sum, block by block.

    ``out`` may be ``weight`` itself.
    """
    low, high = (t[role].float() for role in ("low", "high"))
    span, start = (high - low).item(), low.item()
    rows = BLOCK * len(weight) // max(1, weight.numel()) if weight.device.type == "cpu" else len(weight)
    rows = max(1, rows)
    sums = torch.empty_like(weight[:rows], dtype=torch.float32)
    for first in range(0, len(weight), rows):
        part = slice(first, first + rows)
        old = weight[part]
        change = sums[: len(old)].copy_(t["levels"][part].to(weight.device)).div_(LEVELS).mul_(span).add_(start)
        if strength != 1:
            change.mul_(strength)
        out[part] = change.add_(old)


def _factor(t: Tensors, number: str) -> Tensor:
    """Factor "1" or "2": whole, the product of "a" and "b", or with core "t" in Tucker form (p, r, k, l)."""
    if f"w{number}" in t:
        return t[f"w{number}"]
    a, b = t[f"w{number}_a"], t[f"w{number}_b"]
    if f"t{number}" in t:
        return torch.einsum("ijkl,jr,ip->prkl", t[f"t{number}"], b, a)
    return a @ b
