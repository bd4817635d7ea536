from __future__ import annotations

from fooocus_engine.sampling.settings import DEFAULT_SAMPLER, DEFAULT_SCHEDULER, SAMPLERS, SCHEDULERS, SamplingSettings


def test_defaults_are_among_the_accepted_names():
    assert DEFAULT_SAMPLER in SAMPLERS
    assert DEFAULT_SCHEDULER in SCHEDULERS


def test_no_name_comes_twice():
    assert len(set(SAMPLERS)) == len(SAMPLERS) == 24
    assert len(set(SCHEDULERS)) == len(SCHEDULERS) == 11


def test_equal_settings_are_equal():
    assert SamplingSettings(steps=30, switch=24) == SamplingSettings(steps=30, switch=24)
