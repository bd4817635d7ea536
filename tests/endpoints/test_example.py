"""The example job on models folders of every kind."""

import json
from pathlib import Path

import pytest

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.example import main, on_installed_model, preset_on_installed_model
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.models.catalogue import Catalogue
from tests.endpoints.asking import asked

ROOT = Path(__file__).parents[2]
JOB = {"endpoint": "text-to-image", "prompt": "a cat"}
EXAMPLE = JOB | {"preset": "starter"}
DEFAULT = "juggernautXL_v8Rundiffusion.safetensors"
OLD = "juggernautXL_v6Rundiffusion.safetensors"


def on(folder, files, job=EXAMPLE, preset="default"):
    """The job where ``files``, name → bytes, are the user's checkpoints."""
    for name, size in files.items():
        path = folder / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    return on_installed_model(job, Catalogue(folder), preset_named(preset))


def test_without_a_checkpoint_it_is_the_shipped_model_under_its_own_preset(tmp_path):
    assert on(tmp_path, {}) == EXAMPLE


@pytest.mark.parametrize(
    ("preset", "name"), [("default", DEFAULT), ("default", OLD), ("anime", "animaPencilXL_v400.safetensors")]
)
def test_an_installed_default_checkpoint_needs_no_word(tmp_path, preset, name):
    assert on(tmp_path, {name: 1, "larger.safetensors": 2}, preset=preset) == JOB


def test_another_checkpoint_is_named_the_largest_of_several(tmp_path):
    files = {"refiner.safetensors": 2, "sub/base.safetensors": 3, "sd15.ckpt": 1}
    assert on(tmp_path, files) == JOB | {"base_model_name": "sub/base.safetensors"}


@pytest.mark.parametrize("named", [{}, {"preset": "anime"}, {"preset": "starter", "base_model_name": "a.safetensors"}])
@pytest.mark.parametrize("files", [{}, {"other.safetensors": 1}])
def test_a_job_that_names_its_model_stays_as_it_is(tmp_path, named, files):
    assert on(tmp_path, files, JOB | named) == JOB | named


def test_without_a_checkpoint_things_are_served_under_the_shipped_models_preset(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FOOOCUS_MODELS_DIR", str(tmp_path))
    assert main(["--preset"]) == 0
    assert capsys.readouterr().out == "starter\n"


def test_with_a_checkpoint_things_are_served_under_the_servers_preset(tmp_path):
    on(tmp_path, {"other.safetensors": 1})
    assert preset_on_installed_model(Catalogue(tmp_path), "anime") == "anime"


def test_the_repositorys_example_is_printed_as_a_job_that_is_understood(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FOOOCUS_MODELS_DIR", str(tmp_path))
    assert main([str(ROOT / "test_input.json")]) == 0
    given = json.loads(capsys.readouterr().out)["input"]
    assert canonical(given).endpoint == "text-to-image"
    assert asked(given).preset == "starter"


def test_the_recipe_of_make_serve_asks_for_that_preset():
    recipe = (ROOT / "Makefile").read_text().split("\nserve:")[1].split("\n\n")[0]
    assert "-m fooocus_engine.endpoints.example --preset" in recipe
    assert "-m fooocus_engine.shim --local" in recipe
