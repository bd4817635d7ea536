from __future__ import annotations

import pytest

from builder.starter.timetable import timetable
from fooocus_engine.endpoints.generate.performance import MODES, Performance

EXTREME, LIGHTNING, HYPER = Performance.EXTREME_SPEED, Performance.LIGHTNING, Performance.HYPER_SD


@pytest.mark.parametrize(
    ("performance", "timesteps"),
    [  # sampling.md §2.4
        (EXTREME, [999, 879, 759, 639, 499, 379, 259, 139]),
        (LIGHTNING, [999, 749, 500, 250]),
    ],
)
def test_a_mode_asks_where_the_specification_says(performance: Performance, timesteps: list[float]):
    table = timetable(MODES[performance])
    assert table.timesteps.tolist() == timesteps
    assert len(table.sigmas) == len(timesteps) + 1
    assert table.sigmas[-1] == 0


def test_a_sampler_that_asks_midway_does_so_between_all_its_levels():
    table = timetable(MODES[HYPER])
    assert table.timesteps[::2].tolist() == [999, 687, 146, 0]  # sampling.md §2.4
    assert table.sigmas[1].item() == pytest.approx((14.614643 * 3.168605) ** 0.5, rel=1e-5)
    assert (table.sigmas[1:] < table.sigmas[:-1]).all()


def test_modes_without_distillation_have_none():
    with pytest.raises(ValueError, match="distilled"):
        timetable(MODES[Performance.SPEED])
