"""Logs of a training: what is written is read, and drawn where it belongs."""

from __future__ import annotations

import sys

import pytest
from PIL import Image

from builder.starter import curves
from builder.starter.curves import hours, read
from builder.starter.training import Log


def test_a_log_is_read_as_it_was_written(tmp_path):
    log = Log(tmp_path / "a.csv")
    for step, loss in ((1, 4.0), (2, 2.0)):
        log.add(step, loss=loss)
    log.flush()
    log.add(9, loss=0.5, valid=0.25)
    log.flush()
    assert read(tmp_path / "a.csv") == {"loss": [(2.0, 3.0), (9.0, 0.5)], "valid": [(9.0, 0.25)]}


def test_a_step_done_twice_counts_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("5,1,loss,1.0\n9,2,loss,3.0\n5,1,loss,2.0\n")
    assert read(path) == {"loss": [(5.0, 2.0), (9.0, 3.0)]}


def test_the_hours_of_a_log_are_those_of_all_runs_whether_their_seconds_go_on_or_begin_anew(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("5,1800,loss,1.0\n5,1800,valid,1.0\n9,3600,loss,3.0\n14,900,loss,2.0\n20,5400,loss,2.0\n")
    assert hours(path) == 2.5


def test_axes_are_logarithmic_and_hold_every_point():
    axes = curves.Axes.around([(0, 1.0), (10, 100.0)])
    left, bottom = axes.place((0, 1.0))
    right, top = axes.place((10, 100.0))
    assert axes.place((5, 10.0)) == pytest.approx(((left + right) / 2, (bottom + top) / 2))
    assert curves.LEFT <= left < right <= curves.PANEL[0] - curves.RIGHT
    assert curves.TOP <= top < bottom <= curves.PANEL[1] - curves.BOTTOM


def test_the_picture_has_panels_for_losses_and_decibels_of_each_log_and_an_ink_for_each_curve(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(
            "1,1,loss,2.0\n9,2,loss,1.0\n1,1,valid,1.5\n9,1,valid,0.7\n9,1,gain,3\n9,1,psnr_x,30\n"
        )
    monkeypatch.setattr(sys, "argv", ["curves", *(str(tmp_path / n) for n in ("a.csv", "b.csv", "c.png"))])
    curves.main()
    image = Image.open(tmp_path / "c.png").convert("RGB")
    assert image.size == (curves.PANEL[0], 4 * curves.PANEL[1])
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert set(curves.INKS[:2]) <= colours


def test_a_log_of_more_curves_than_inks_is_drawn_whole():
    ends = ((0, 1.0), (10, 8.0))
    drawn = [curves.panel("", {str(number): list(ends) for number in range(count)}) for count in (5, 6)]
    # All run along one line, so that the last one drawn, the first by name, shows; names stand apart.
    names = [image.crop((curves.LEFT, 0, curves.PANEL[0], curves.TOP)) for image in drawn]
    assert names[0].tobytes() != names[1].tobytes()
