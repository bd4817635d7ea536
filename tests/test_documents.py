"""The documentation against the code: links, commands, code blocks, variables, tables; the examples are run."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from builder import bake, reference
from builder.baking.choice import FEATURES, SETS
from builder.baking.origin import MIRRORS, TOKENS
from fooocus_engine import settings
from fooocus_engine.endpoints.dialects import endpoint_named
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.models.catalogue import CLIP_TOKENIZER, KINDS, known_files
from fooocus_engine.settings import Settings
from fooocus_engine.shim.settings import options
from tests.pages import PAGES, ROOT, anchors, blocks, commands, links, prose, text_of
from tests.shim.live import live

OVERLAYS = {"sdxl_styles", "wildcards"}  # read by prompts/, not by the catalogue
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
VARIABLE = r'"((?:FOOOCUS_|BUCKET_)?[A-Z]{3,}[A-Z_]*)"'
SETTINGS = text_of("docs/settings.md")
BUILD_ARGUMENTS = {name for name, _, _ in reference.build_arguments(text_of("Dockerfile"))}
API = "http://127.0.0.1:8888"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.resolve().relative_to(ROOT).as_posix())):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(page):
    unknown = []
    for line in commands(page):
        unknown += [name for name in re.findall(r"\bmake ([a-z-]+)", line) if name not in TARGETS]
        unknown += [name for name in re.findall(r"python -m ([\w.]+)", line) if importlib.util.find_spec(name) is None]
        paths = re.findall(r"\b(?:builder|tests)/[\w/]+\.(?:sh|py)\b", line)
        unknown += [path for path in paths if not (ROOT / path).exists()]
        unknown += [name for name in re.findall(r"--build-arg (\w+)", line) if name not in BUILD_ARGUMENTS]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES)
def test_every_code_block_is_well_formed(page):
    for block in blocks(page):
        match block.language:
            case "python":
                ast.parse(block.code)
            case "json":
                json.loads(block.code)
            case "bash" | "console":
                done = subprocess.run(["bash", "-n", "-c", block.code], capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_no_page_tells_of_the_machine_it_was_written_on(page):
    assert not re.search(r"(?<![\w.])/(?:work|home|root|tmp/\w)", text_of(page))


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
@pytest.mark.parametrize("language", ["bash", "python"])
def test_the_examples_run_against_the_http_api(page, language, tmp_path):
    (code,) = [block.code for block in blocks(page) if block.language == language]
    with live(tmp_path) as door:
        code = code.replace(API, door.url).replace("picture.png http", f"{tmp_path}/picture.png http")
        run = (
            [sys.executable, "-c", code]
            if language == "python"
            else ["bash", "-ec", code.replace("curl -s", "curl -sSf")]
        )
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        asked = [given["endpoint"] for given in door.stub.inputs()]
    assert done.returncode == 0, done.stderr
    assert "http" in done.stdout
    expected = ["image-upscale-vary"] * 2
    assert asked == (expected if language == "python" else ["text-to-image", *expected, "text-to-image"])


def test_the_translation_has_the_code_and_the_links_of_the_readme():
    plain = [[re.sub(r"#.*", "", block.code) for block in blocks(page)] for page in ("README.md", "README.zh.md")]
    ours, theirs = ([code for code in codes if not code.startswith("models/")] for codes in plain)
    assert ours == theirs
    mine = {link for link in links("README.md") if "#" not in link} | {"README.md"}
    assert mine == {link for link in links("README.zh.md") if "#" not in link} | {"README.zh.md"}
    levels = [re.findall(r"^#+", prose(page), re.MULTILINE) for page in ("README.md", "README.zh.md")]
    assert levels[0] == levels[1]


def test_the_tables_that_are_made_from_the_code_are_up_to_date():
    assert reference.main(["--check"]) == 0


def test_every_field_of_the_reference_has_a_meaning():
    rows = [line for line in text_of("docs/parameters.md").splitlines() if re.match(r"\| `\w+` \|", line)]
    fields_of = [row for row in rows if row.count(" | ") == 4]
    assert len(fields_of) > 50
    assert [row for row in fields_of if row.endswith("|  |")] == []


def test_the_settings_list_every_variable_of_the_environment():
    read = set(re.findall(VARIABLE, inspect.getsource(settings)))
    read |= {option.metadata["variable"] for option in options()}
    read |= set(re.findall(r'"(BAKE_[A-Z_]+)"', inspect.getsource(bake))) | {"HF_TOKEN_FILE"}
    read |= {*MIRRORS.values(), *TOKENS.values()}
    listed = set(re.findall(r"(?m)^\| `([A-Z_0-9]+)` \|", SETTINGS))
    assert read | BUILD_ARGUMENTS == listed
    assert BUILD_ARGUMENTS - read == {
        "BASE_IMAGE",
        "MODELS",
        "TORCH_SPEC",
        "TORCH_INDEX",
        "VERSION",
        "REVISION",
        "SOURCE",
    }


def test_the_settings_tell_the_defaults_of_the_code():
    pairs = re.findall(r"(?m)^    (\w+): [^=]+ = .*# ([A-Z_]+)\b", inspect.getsource(settings))
    defaults = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    compared = 0
    for name, variable in pairs:
        told = re.search(rf"(?m)^\| `{variable}` \| ([^|]*)\|", SETTINGS)
        assert told, variable
        match defaults[name]:
            case bool(value):
                expected = f"`{'on' if value else 'off'}`"
            case str() | int() | float() | Path() as value:
                expected = f"`{value}`"
            case _:
                continue
        compared += 1
        assert expected in told[1], variable
    assert compared > 10


def test_the_folders_of_the_readme_are_those_that_are_read():
    models = text_of("README.md").split("## Models")[1].split("## Reading")[0]
    named = set(re.findall(r"(?<= )([a-z_/]+)/(?= )", models.split("```")[1]))
    assert named <= {*KINDS, *OVERLAYS}
    assert {"checkpoints", "loras", CLIP_TOKENIZER, *OVERLAYS} <= named


def test_the_readme_names_both_tokenizer_files_as_required():
    files = {f"{known.kind}/{known.name}" for known in known_files() if known.kind == CLIP_TOKENIZER}
    (row,) = (line for line in text_of("README.md").splitlines() if "| required" in line)
    assert files == set(re.findall(rf"{CLIP_TOKENIZER}/[\w.]+", row))


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_tells_of_every_endpoint(page):
    table = text_of(page).split("| `endpoint` |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", table.replace("`webp`", ""))) == set(ENDPOINTS)


def test_the_words_of_the_peer_project_mean_what_the_page_says():
    table = text_of("docs/migration.md").split("| `api_name` there |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `") and "the platform" not in line]
    for row in rows:
        theirs, ours = (re.findall(r"`([\w-]+)`", cell) for cell in row.split("|")[1:3])
        assert {endpoint_named(word) for word in theirs} == set(ours)
    assert len(rows) == 8


def test_the_features_of_a_bake_are_told():
    table = text_of("docs/deploy.md").split("| feature |")[1].split("\n\n")[0]
    told = {}
    for row in table.splitlines()[2:]:
        names, standard = row.split("|")[1:3]
        told |= {name: standard.strip().startswith("yes") for name in re.findall(r"`([\w-]+)`", names)}
    assert told == {name: name in SETS["standard"] for name in FEATURES}


def test_the_paths_that_contributors_are_sent_to_are_there():
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|json|md)|(?:\w+/)+\w+)`", text_of("CONTRIBUTING.md"))
    roots = (ROOT, ROOT / "fooocus_engine", ROOT / "fooocus_engine" / "sampling" / "solvers", ROOT / "tests" / "models")
    roots += (ROOT / "fooocus_engine" / "endpoints", ROOT / "fooocus_engine" / "sampling")
    made = {"contract.py", "run.py"}  # of a new endpoint
    assert [path for path in named if path not in made and not any((root / path).exists() for root in roots)] == []
