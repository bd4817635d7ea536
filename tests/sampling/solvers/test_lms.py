from __future__ import annotations

import pytest

from fooocus_engine.sampling.solvers.lms import lagrange_integrals


def test_one_slope_is_weighted_with_the_step():
    assert lagrange_integrals([3.0], 2.0) == [-1.0]


def test_two_equal_steps_give_the_coefficients_of_adams_and_bashforth():
    assert lagrange_integrals([0.0, -1.0], 1.0) == pytest.approx([3 / 2, -1 / 2])


def test_four_equal_steps_give_the_coefficients_of_adams_and_bashforth():
    expected = [55 / 24, -59 / 24, 37 / 24, -9 / 24]
    assert lagrange_integrals([3.0, 2.0, 1.0, 0.0], 4.0) == pytest.approx(expected)


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_polynomials_up_to_the_third_power_are_integrated_exactly(power: int):
    nodes, target = [1.3, 1.9, 4.2, 7.7], 0.6
    integral = sum(weight * node**power for weight, node in zip(lagrange_integrals(nodes, target), nodes, strict=True))
    assert integral == pytest.approx((target ** (power + 1) - nodes[0] ** (power + 1)) / (power + 1))
