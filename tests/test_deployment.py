"""Files that platforms and engines read, against the code: Dockerfile, compose file, Hub files, workflows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from builder.baking.choice import FEATURES, SETS, presets_of
from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.presets import preset_named, presets
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.models.catalogue import known_files
from fooocus_engine.prompts.styles import SHIPPED, load_styles
from fooocus_engine.settings import Settings, settings_from_environment
from fooocus_engine.shim.settings import shim_settings
from tests.web import unused_port

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
HUB = json.loads((ROOT / ".runpod" / "hub.json").read_text(encoding="utf-8"))
HUB_TESTS = json.loads((ROOT / ".runpod" / "tests.json").read_text(encoding="utf-8"))
POOLS = {"AMPERE_16", "AMPERE_24", "ADA_24", "AMPERE_48", "ADA_48_PRO", "AMPERE_80", "ADA_80_PRO", "HOPPER_141"}
OF_PLATFORM = {"RUNPOD_INIT_TIMEOUT"}
CODE = ("handler.py", "fooocus_engine/endpoints", "fooocus_engine/__init__.py", "builder/manifest.py")


def stages() -> dict[str, tuple[str, str]]:
    """Name of each stage → what it is built on, and its text."""
    parts = re.split(r"(?m)^FROM (\S+) AS (\S+)$", DOCKERFILE)[1:]
    return {parts[i + 1]: (parts[i], parts[i + 2]) for i in range(0, len(parts), 3)}


def lineage(stage: str) -> list[str]:
    """The stage and those it is built on, the last first."""
    on, _ = stages()[stage]
    return [stage, *(lineage(on) if on in stages() else [])]


def copied(stage: str) -> set[str]:
    """What the stage and those it is built on take from the repository."""
    text = "\n".join(stages()[name][1] for name in lineage(stage)).replace("\\\n", " ")
    found = re.findall(r"(?m)^COPY (?!--from)(.+)$", text)
    return {source for line in found for source in line.split()[:-1]}


@pytest.mark.parametrize("stage", ["packages", "models", "shim-packages"])
def test_a_change_of_the_code_leaves_packages_and_models_as_they_are(stage):
    assert copied(stage).isdisjoint({".", "fooocus_engine", "builder", *CODE})
    assert "worker" not in lineage(stage)


def test_what_is_copied_is_there_and_not_ignored():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in set().union(*(copied(stage) for stage in stages())):
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(p) or source == p or source.startswith(f"{p}/") for p in allowed), source


@pytest.mark.parametrize("stage", ["worker", "shim"])
def test_an_image_runs_python_first_and_as_a_user_of_its_own(stage):
    text = stages()[stage][1]
    assert "\nUSER 1000:1000\n" in text
    assert re.search(r'(?m)^CMD \["python", ', text)
    assert "\nHEALTHCHECK " in text
    assert "ENTRYPOINT" not in text
    for label in ("title", "licenses", "version", "revision", "source"):
        assert f"org.opencontainers.image.{label}=" in text


def test_the_worker_is_the_default_and_fetches_nothing_while_it_runs():
    assert list(stages())[-1] == "worker"
    assert "HF_HUB_OFFLINE=1" in stages()["worker"][1]


def test_the_shim_has_no_weights_and_its_own_packages():
    assert "embedded" in stages()["shim"][1]
    assert lineage("shim") == ["shim", "base"]
    assert "COPY --from=shim-packages" in stages()["shim"][1]


def test_what_buildah_cannot_is_not_used():
    assert "<<" not in DOCKERFILE
    assert not re.search(r"(?m)^COPY --link", DOCKERFILE)


def bake_stage(models: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run what the stage of the models runs, in a copy of what it sees."""
    for name in copied("models"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **more}
    command = ["sh", "builder/bake_stage.sh", models, str(folder / "models")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("models", ["baked", "volume"])
def test_the_stage_of_the_models_sees_all_that_it_needs(models, tmp_path):
    done = bake_stage(models, tmp_path, BAKE_PRESETS="starter", BAKE_FEATURES="none")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["bake.lock.json"]


def test_a_stage_that_cannot_fetch_fails(tmp_path):
    done = bake_stage("cache", tmp_path, HF_MIRROR=f"http://127.0.0.1:{unused_port()}", BAKE_TRIES="1")
    assert done.returncode == 1
    assert "clip_tokenizer/vocab.json" in done.stderr


def test_an_unknown_variant_of_models_is_refused(tmp_path):
    done = bake_stage("none", tmp_path)
    assert done.returncode == 2
    assert "allowed: baked, cache, volume" in done.stderr


def test_the_default_bake_is_known():
    defaults = dict(re.findall(r"(?m)^ARG (BAKE_\w+)=(.*)$", DOCKERFILE))
    assert defaults["BAKE_PRESETS"] in presets_of(known_files())
    assert defaults["BAKE_FEATURES"] in {*SETS, *FEATURES}


@pytest.mark.parametrize("name", ["requirements-bake.txt", "requirements-shim.txt"])
def test_a_package_has_one_pin(name):
    pins = [line for line in (ROOT / "builder" / name).read_text().splitlines() if not line.startswith("#")]
    worker = set((ROOT / "builder" / "requirements.txt").read_text().splitlines())
    assert {pin for pin in pins if pin not in worker} <= {"tqdm==4.70.1"}


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def environment(name: str) -> dict[str, str]:
    """A service's variables, with what ``.env`` gives."""
    return {
        key: re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", "word", str(value))
        for key, value in service(name)["environment"].items()
    }


def test_every_profile_of_the_compose_file_is_whole():
    for profile in ("gpu", "cpu"):
        names = [name for name, row in COMPOSE["services"].items() if profile in row["profiles"]]
        aliases = [row.get("networks", {}) for row in map(service, names) if "networks" in row]
        assert len(aliases) == 1
        assert {"api", "store"} <= set(names)


@pytest.mark.parametrize("name", ["worker", "worker-cpu"])
def test_the_workers_variables_of_the_compose_file_are_read(name):
    given = environment(name)
    found = settings_from_environment(given | {"FOOOCUS_PRESET": "default"})
    assert found.bucket is not None
    assert (found.bucket.name, found.bucket.endpoint_url) == ("pictures", "http://store:9000")
    assert found.private_urls
    assert found.api_key
    assert set(given) <= set(re.findall(r"(?m)^\| `([A-Z_]+)` \|", SETTINGS_PAGE))


def test_the_apis_variables_of_the_compose_file_are_read():
    found = shim_settings([], environment("api"))
    assert found.platform_url == "http://platform:8889/v2"
    assert found.persistent
    assert set(environment("api")) <= set(re.findall(r"(?m)^\| `([A-Z_]+)` \|", SETTINGS_PAGE))


def test_the_compose_file_builds_by_arguments_that_exist():
    for name in ("worker", "worker-cpu", "api"):
        build = service(name)["build"]
        assert build.get("target", "worker") in stages()
        for argument in build.get("args", {}):
            assert f"\nARG {argument}=" in DOCKERFILE


def test_every_variable_that_the_compose_file_asks_for_is_in_the_example():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = set(re.findall(r"(?m)^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8")))
    assert set(re.findall(r"\$\{(\w+):\?", text)) <= example
    assert example <= set(re.findall(r"\$\{(\w+)", text))


def test_the_hub_is_told_what_it_needs():
    assert {"title", "description"} <= set(HUB)
    assert (HUB["type"], HUB["category"], HUB["config"]["runsOn"]) == ("serverless", "image", "GPU")
    assert isinstance(HUB["config"]["containerDiskInGb"], int)
    assert set(HUB["config"]["gpuIds"].split(",")) <= POOLS
    for name in ("handler.py", "Dockerfile", "README.md"):
        assert (ROOT / name).is_file()


def test_every_variable_of_the_hub_is_read_with_each_of_its_values():
    for row in HUB["config"]["env"]:
        if row["key"] in OF_PLATFORM:
            continue
        question = row["input"]
        values = [option["value"] for option in question.get("options", ())] or [question["default"]]
        if question["type"] == "boolean":
            values = [question["trueValue"], question["falseValue"]]
        whole = {"BUCKET_ENDPOINT_URL": "https://h/b", "BUCKET_ACCESS_KEY_ID": "i", "BUCKET_SECRET_ACCESS_KEY": "s"}
        for value in values:
            given = whole if row["key"] in whole else {row["key"]: str(value)}
            assert f"| `{row['key']}` |" in SETTINGS_PAGE
            settings_from_environment(given)
        if row["key"] == "FOOOCUS_PRESET":
            assert set(values) <= set(presets())


def test_a_preset_of_the_hub_is_served_by_the_default_bake():
    for row in HUB["config"]["presets"]:
        chosen = preset_named(row["defaults"]["FOOOCUS_PRESET"])
        assert chosen.base_model_name == preset_named("default").base_model_name


@pytest.mark.parametrize("row", HUB_TESTS["tests"], ids=lambda row: row["name"])
def test_a_test_of_the_hub_is_a_good_request(row):
    endpoint, fields, ignored = canonical(row["input"])
    assert ignored == ()
    model = ENDPOINTS[endpoint].request
    if issubclass(model, GenerateRequest):
        styles = load_styles((SHIPPED,)).legal_names()
        validate_generation(fields, model, default_preset=preset_named("default"), styles=styles, limits=Settings())
    assert row["timeout"] >= 60_000


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_a_workflow_runs_what_is_there(name):
    text = (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for job in jobs.values():
        for step in job["steps"]:
            command = step.get("run", "")
            assert set(re.findall(r"\bmake ([a-z-]+)", command)) <= targets
            assert all((ROOT / path).exists() for path in re.findall(r"(?m)^(\.ci/\w+)", command))
            for line in step.get("with", {}).get("build-args", "").splitlines():
                assert f"\nARG {line.split('=')[0]}=" in DOCKERFILE
            assert step.get("with", {}).get("target", "worker") in {*stages(), "${{ matrix.target }}"}
    assert ".ci/run" in text
