"""SOLVERS: every sampler's name → its function, and the choice of one for a run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fooocus_engine.errors import UnknownName
from fooocus_engine.sampling.model_sampling import ModelSampling
from fooocus_engine.sampling.solvers.consistency import Tcd, lcm
from fooocus_engine.sampling.solvers.dpm import dpm_2, dpm_2_ancestral, dpm_adaptive, dpm_fast
from fooocus_engine.sampling.solvers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from fooocus_engine.sampling.solvers.euler import ddpm, euler, euler_ancestral
from fooocus_engine.sampling.solvers.heun import heun, heunpp2, restart
from fooocus_engine.sampling.solvers.lms import lms
from fooocus_engine.sampling.solvers.protocol import Solver
from fooocus_engine.sampling.solvers.unipc import uni_pc, uni_pc_bh2

SOLVERS: Mapping[str, Solver | type[Tcd]] = MappingProxyType(
    {
        "euler": euler,
        "euler_ancestral": euler_ancestral,
        "heun": heun,
        "heunpp2": heunpp2,
        "dpm_2": dpm_2,
        "dpm_2_ancestral": dpm_2_ancestral,
        "lms": lms,
        "dpm_fast": dpm_fast,
        "dpm_adaptive": dpm_adaptive,
        "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
        "dpmpp_sde": dpmpp_sde,
        "dpmpp_sde_gpu": dpmpp_sde,  # one Brownian tree, on the device, serves both names (sampling.md §5.2)
        "dpmpp_2m": dpmpp_2m,
        "dpmpp_2m_sde": dpmpp_2m_sde,
        "dpmpp_2m_sde_gpu": dpmpp_2m_sde,
        "dpmpp_3m_sde": dpmpp_3m_sde,
        "dpmpp_3m_sde_gpu": dpmpp_3m_sde,
        "ddpm": ddpm,
        "lcm": lcm,
        "tcd": Tcd,  # made with the parametrisation first
        "restart": restart,
        "ddim": euler,  # without its option for inpainting the same formula (sampling.md §4)
        "uni_pc": uni_pc,
        "uni_pc_bh2": uni_pc_bh2,
    }
)

IGNORE_KNOWN_PIXELS = frozenset({"uni_pc", "uni_pc_bh2"})
"""Given the estimates without regard to what a picture keeps while it is painted in part (sampling.md §4)."""


def solver(name: str, tables: ModelSampling) -> Solver:
    """The solver of that name, bound to the parametrisation if it needs one.

    Raises:
        UnknownName: there is none.
    """
    if name not in SOLVERS:
        raise UnknownName("sampler", name, SOLVERS)
    found = SOLVERS[name]
    return found(tables) if isinstance(found, type) else found
