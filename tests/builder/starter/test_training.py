"""What all trainings share: rates, logs, states that a later run goes on from, and whole files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from builder.starter import training
from builder.starter.training import (
    Alone,
    Course,
    Log,
    StaleState,
    State,
    cosine,
    falling,
    fingerprint,
    run,
    write_whole,
)


def test_a_rate_rises_stays_and_falls_straight_to_nothing():
    rates = [falling(step, 1000, warm=100, decay_from=600) for step in range(1001)]
    assert rates[0] == 1 / 100 and rates[49] == 0.5
    assert set(rates[99:601]) == {1.0}
    assert rates[800] == pytest.approx(0.5) and rates[1000] == 0
    assert falling(250, 1000, warm=1) == pytest.approx(0.75)  # without a stage of full rate


def test_a_cosine_rises_and_falls_to_its_least():
    rates = [cosine(step, 1000, warm=50, least=0.02) for step in range(1001)]
    assert rates[:49] == sorted(rates[:49]) and rates[50:] == sorted(rates[50:], reverse=True)
    assert cosine(500, 1000) == pytest.approx(0.5)
    assert rates[1000] == pytest.approx(0.02)
    assert cosine(1000, 1000) == 0


def test_a_log_counts_its_seconds_on_from_an_earlier_run(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("5,400,loss,1.0\n")
    log = Log(path)
    log.add(6, loss=1.0)
    log.add(7, loss=2.0)
    log.flush()
    step, seconds, name, value = path.read_text().splitlines()[1].split(",")
    assert (step, name, float(value)) == ("7", "loss", 1.5)
    assert float(seconds) >= 400


def test_fingerprints_tell_names_and_values():
    one = {"a": torch.zeros(2)}
    assert fingerprint(one) == fingerprint({"a": torch.zeros(2)})
    assert len({fingerprint(one), fingerprint({"b": torch.zeros(2)}), fingerprint({"a": torch.ones(2)})}) == 3


def test_a_write_that_fails_leaves_the_former_file(tmp_path: Path):
    path = tmp_path / "sub" / "file.bin"
    write_whole(path, lambda part: part.write_bytes(b"first"))

    def broken(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError):
        write_whole(path, broken)
    assert path.read_bytes() == b"first"


class Line:
    """A weight that learns to be 3, by steps of its own course."""

    def __init__(self, path: Path, *, rate: float = 0.1, base: str = "b", stage: str = "") -> None:
        self.net = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.net.weight.fill_(0)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=rate)
        self.state = State(path, {"net": self.net.state_dict()}, self.optimiser, base=base, stage=stage)
        self.rates: list[float] = []
        self.written: list[int] = []

    def run(self, steps: int, **more: Any) -> None:
        course = Course(
            loss=self._loss,
            rate=partial(falling, warm=1),
            measured=lambda: {"valid": 1.0},
            seed=self.state.seed(1),
            stepped=lambda: self.rates.append(self.optimiser.param_groups[0]["lr"]),
            write=lambda: self.written.append(self.state.step),
            **more,
        )
        run(self.state, steps, course)

    def _loss(self) -> torch.Tensor:
        return (self.net.weight - 3).square().sum()


def test_a_stopped_training_goes_on_exactly_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = Line(tmp_path / "whole.pt")
    whole.run(20)
    monkeypatch.setattr(training, "SAVE_EVERY_S", -1)  # every step
    stopped = Line(tmp_path / "part.pt")

    class Gone(Alone):
        def are_whole(self) -> bool:
            return stopped.state.step < 8

    stopped.run(20, workers=Gone())
    assert stopped.state.step == 8
    resumed = Line(tmp_path / "part.pt")
    assert resumed.state.step == 8
    resumed.run(20)
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert stopped.rates + resumed.rates == whole.rates


def test_a_resumed_training_takes_the_rate_that_it_is_given(tmp_path: Path):
    Line(tmp_path / "a.pt", rate=0.1).run(4)
    later = Line(tmp_path / "a.pt", rate=0.5)
    later.run(8)
    assert later.rates[0] == pytest.approx(0.5 * (1 - 4 / 8))


def test_a_finished_training_writes_its_file_again(tmp_path: Path):
    Line(tmp_path / "a.pt").run(3)
    again = Line(tmp_path / "a.pt")
    again.run(3)
    assert again.written == [3] and again.rates == []


def test_what_was_learned_upon_another_base_is_refused(tmp_path: Path):
    Line(tmp_path / "a.pt", base="one").run(1)
    with pytest.raises(StaleState, match=r"a\.pt.*one.*two"):
        Line(tmp_path / "a.pt", base="two")


def test_a_state_of_other_shapes_is_refused(tmp_path: Path):
    Line(tmp_path / "a.pt").run(1)
    wider = nn.Linear(2, 1, bias=False)
    with pytest.raises(StaleState, match="net"):
        State(tmp_path / "a.pt", {"net": wider.state_dict()}, torch.optim.Adam(wider.parameters()), base="b")


def test_stages_share_parts_and_have_their_own_steps(tmp_path: Path):
    first = Line(tmp_path / "a.pt", stage="first")
    first.run(3)
    second = Line(tmp_path / "a.pt", stage="second")
    assert torch.equal(second.net.weight, first.net.weight)
    assert second.state.step == 0
    second.run(2)
    assert Line(tmp_path / "a.pt", stage="first").state.step == 3
    assert Line(tmp_path / "a.pt", stage="second").state.step == 2
    assert (tmp_path / "a-first.csv").is_file() and (tmp_path / "a-second.csv").is_file()


def test_only_the_first_worker_keeps_log_and_state(tmp_path: Path):
    class Second(Alone):
        is_first = False

    line = Line(tmp_path / "a.pt")
    line.run(2, workers=Second())
    assert line.state.step == 2
    assert list(tmp_path.iterdir()) == []
