"""The text format of prompts and parameters."""

import pytest

from fooocus_engine.output import a1111

PAIRS = (("Steps", 30), ("Sampler", "Euler"), ("Seed", 1))


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "",
        "a, b",
        "a: b",
        "two\nlines",
        '"all quoted"',
        'half "quoted", with comma',
        '"starts" quoted',
        "ends with a backslash\\",
        "猫, é",
        "  blanks  ",
        '"a", b',
    ],
)
def test_any_value_comes_back_as_it_was_written(value):
    text = a1111.text(["p"], [], [*PAIRS, ("Raw prompt", value), ("Version", "v")])
    assert a1111.parse(text).parameters["Raw prompt"] == value


def test_prompts_come_back_joined():
    parsed = a1111.parse(a1111.text(["a", "b, c"], ["d", "e"], PAIRS))
    assert (parsed.positive, parsed.negative) == ("a, b, c", "d, e")
    assert parsed.parameters == {"Steps": "30", "Sampler": "Euler", "Seed": "1"}


def test_prompts_of_several_lines_come_back_whole():
    parsed = a1111.parse("one\ntwo\nNegative prompt: three\nfour\nSteps: 1, Seed: 2, Size: 8x8")
    assert (parsed.positive, parsed.negative) == ("one\ntwo", "three\nfour")


def test_a_last_line_of_two_pairs_is_prompt():
    parsed = a1111.parse("a cat\nstyle: photo, light: soft")
    assert parsed == a1111.Parsed("a cat\nstyle: photo, light: soft", "")


def test_broken_quotes_are_read_as_plain_text():
    assert a1111.parse('p\nSteps: 1, Seed: 2, Raw prompt: "open').parameters["Raw prompt"] == '"open'


def test_non_ascii_is_kept_in_quoted_values():
    assert '"猫, é"' in a1111.text([], [], [("Raw prompt", "猫, é")])


@pytest.mark.parametrize(
    ("sampler", "scheduler", "label"),
    [
        ("dpmpp_2m_sde_gpu", "karras", "DPM++ 2M SDE Karras"),
        ("euler", "normal", "Euler"),
        ("lcm", "karras", "LCM Karras"),
        ("dpmpp_3m_sde_gpu", "karras", "dpmpp_3m_sde_gpu"),
        ("heunpp2", "simple", "heunpp2"),
    ],
)
def test_samplers_are_labelled_as_specified(sampler, scheduler, label):
    assert a1111.sampler_label(sampler, scheduler) == label
    assert a1111.sampler_name(label) == sampler


def test_of_two_samplers_with_one_label_the_gpu_one_is_read():
    assert a1111.sampler_name("DPM++ SDE") == "dpmpp_sde_gpu"
