"""What the README says about files and settings, against the code."""

import inspect
import re
from pathlib import Path

import pytest

from fooocus_engine import settings
from fooocus_engine.models.catalogue import CLIP_TOKENIZER, KINDS, known_files
from fooocus_engine.shim.settings import options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODELS = README.split("## Models")[1].split("## Settings")[0]
OVERLAYS = {"sdxl_styles", "wildcards"}  # read by prompts/, not by the catalogue


def test_the_folders_of_the_readme_are_those_that_are_read():
    named = set(re.findall(r"(?<= )([a-z_/]+)/(?= )", MODELS.split("```")[1]))
    assert named <= {*KINDS, *OVERLAYS}
    assert {"checkpoints", "loras", CLIP_TOKENIZER, *OVERLAYS} <= named


def test_the_readme_names_both_tokenizer_files_as_required():
    files = {f"{known.kind}/{known.name}" for known in known_files() if known.kind == CLIP_TOKENIZER}
    (row,) = (line for line in MODELS.splitlines() if "required" in line)
    assert files == set(re.findall(rf"{CLIP_TOKENIZER}/[\w.]+", row))


def test_the_readme_lists_every_variable_of_the_environment():
    read = set(re.findall(r'"((?:FOOOCUS_|BUCKET_)?[A-Z]{3,}[A-Z_]*)"', inspect.getsource(settings)))
    listed = set(re.findall(r"(?m)^\| `([A-Z_0-9]+)` \|", README))
    assert read | {option.metadata["variable"] for option in options()} == listed


@pytest.mark.parametrize("page", ["README.md", "builder/starter/README.md"])
def test_every_picture_and_page_that_a_readme_links_to_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link}
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).is_file()] == []


def test_the_readme_tells_of_every_option_of_the_http_api_what_its_help_tells():
    table = README.split("## The HTTP API")[1].split("## Models")[0]
    for option in options():
        variable, flag, text = (option.metadata[name] for name in ("variable", "flag", "help"))
        assert f"| `{variable}` | {f'`{flag}`' if flag else ''} |" in table
        assert f"| {text} |" in table
