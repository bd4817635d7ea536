"""Bakes from a server on loopback with faults: exit status, bytes, and never a part under a file's name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from builder.bake import run
from builder.baking.asking import Patience
from builder.baking.bars import Bars
from tests.builder import file_server as faults
from tests.builder.file_server import Files, file_server

ROOT = Path(__file__).parent.parent.parent
NAME = "checkpoints/big.safetensors"
CONTENT = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


@pytest.fixture
def files() -> Iterator[Files]:
    with file_server() as files:
        files.content["big"] = CONTENT
        yield files


@dataclass
class Oven:
    """A models folder, and bakes into it."""

    folder: Path
    files: Files
    pauses: list[float] = field(default_factory=list)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        async def sleep(pause_s: float) -> None:
            self.pauses.append(pause_s)

        self.patience = Patience(tries=4, stall_s=30, sleep=sleep)

    @property
    def lock(self) -> Path:
        return self.folder.parent / "lock.json"

    def arguments(self, *more: str, sha256: str | None = None) -> list[str]:
        own = f"{NAME}={self.files.url('big')}" + (f"#sha256={sha256}" if sha256 else "")
        where = ["--into", str(self.folder), "--lock", str(self.lock)]
        return [*where, "--presets", "starter", "--features", "none", "--files", own, *more]

    def bake(self, *more: str, sha256: str | None = None, **environment: str) -> int:
        return run(self.arguments(*more, sha256=sha256), environment, self.patience)

    def names(self) -> list[str]:
        """Every file that is no part."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return [path.as_posix() for path in found if path.suffix != ".part"]

    def is_done(self) -> bool:
        return self.names() == [NAME] and (self.folder / NAME).read_bytes() == CONTENT


@pytest.fixture
def oven(tmp_path: Path, files: Files) -> Oven:
    return Oven(tmp_path / "models", files)


@pytest.mark.parametrize("sha256", [None, SHA256], ids=["unknown", "known"])
@pytest.mark.parametrize(
    "acts",
    [
        [faults.drops(HALF)],
        [faults.drops(0), faults.drops(HALF), faults.drops(10)],
        [faults.resets(HALF)],
        [faults.drips(50_000)],
        [faults.drops(HALF), faults.ignores_ranges],
        [faults.says(429, Retry_After="7")],
        [faults.says(503), faults.says(500), faults.says(408)],
        [faults.sends_too_much],
    ],
    ids=["drop", "drops", "reset", "slow", "range ignored", "429", "5xx", "too much"],
)
def test_a_fault_that_passes_is_overcome(oven: Oven, files: Files, acts, sha256):
    files.acts["big"] = acts
    assert oven.bake(sha256=sha256) == 0
    assert oven.is_done()
    assert not list(oven.folder.rglob("*.part"))


def test_what_has_come_is_not_fetched_again(oven: Oven, files: Files):
    files.acts["big"] = [faults.drops(HALF)]
    assert oven.bake() == 0
    assert files.ranges("big") == ["", f"bytes={HALF}-"]


def test_a_server_that_stands_still_is_left_and_asked_again(oven: Oven, files: Files):
    files.acts["big"] = [faults.stands_still(HALF)]
    oven.patience = replace(oven.patience, stall_s=0.3)
    assert oven.bake() == 0
    assert oven.is_done()


def test_a_server_is_waited_for_as_it_asks_and_no_longer_than_bearable(oven: Oven, files: Files):
    files.acts["big"] = [faults.says(429, Retry_After="7"), faults.says(429, Retry_After="99999")]
    assert oven.bake() == 0
    assert oven.pauses == [7.0, oven.patience.longest_wait_s]


def test_pauses_grow(oven: Oven, files: Files):
    files.acts["big"] = [faults.says(503)] * 3
    assert oven.bake() == 0
    assert [1 <= oven.pauses[0] <= 1.25, 2 <= oven.pauses[1] <= 2.5, 4 <= oven.pauses[2] <= 5] == [True] * 3


def test_progress_earns_new_tries(oven: Oven, files: Files):
    files.acts["big"] = [faults.drops(300_000)] * 9
    oven.patience = replace(oven.patience, worth=300_000)
    assert oven.bake() == 0
    assert oven.is_done()


@pytest.mark.parametrize(
    ("acts", "sha256", "status", "told"),
    [
        ([faults.drops(100)] * 9, None, 1, "given up after 4 tries"),
        ([faults.says(503)] * 9, None, 1, "answered 503"),
        ([faults.says(404)], None, 1, "127.0.0.1 answered 404"),
        ([faults.says(401)], None, 1, "wants a token"),
        ([faults.shows_a_page], None, 1, "a page in place of the file"),
        ([faults.compresses], None, 1, "gzip"),
        ([faults.spoils, faults.spoils], SHA256, 3, "is known"),
        ([faults.drops(HALF), faults.sends_another_range], None, 3, "asked for bytes from"),
        ([faults.sends_too_much] * 2, None, 3, "3000000 is known"),
    ],
    ids=["drops", "503", "404", "401", "page", "gzip", "wrong hash", "wrong range", "too much"],
)
def test_a_fault_that_stays_leaves_no_file(oven: Oven, files: Files, capsys, acts, sha256, status, told):
    files.acts["big"] = acts
    assert oven.bake(sha256=sha256) == status
    assert oven.names() == []
    assert told in capsys.readouterr().err
    files.acts["big"] = []
    assert oven.bake(sha256=sha256) == 0
    assert oven.is_done()


def test_spoilt_bytes_are_fetched_anew(oven: Oven, files: Files):
    files.acts["big"] = [faults.spoils]
    assert oven.bake(sha256=SHA256) == 0
    assert oven.is_done()


def test_a_file_of_unknown_size_and_digest_is_refused(oven: Oven, files: Files, capsys):
    files.greetings["big"], files.acts["big"] = [faults.tells_no_length], [faults.tells_no_length]
    assert oven.bake() == 3
    assert oven.names() == []
    assert "tells no size" in capsys.readouterr().err


def test_a_file_of_unknown_size_is_taken_by_its_digest(oven: Oven, files: Files):
    files.greetings["big"], files.acts["big"] = [faults.tells_no_length], [faults.tells_no_length]
    assert oven.bake(sha256=SHA256) == 0
    assert oven.is_done()


def test_a_part_of_another_version_is_not_gone_on_with(oven: Oven, files: Files):
    files.acts["big"] = [faults.drops(HALF), *[faults.drops(10)] * 3]
    assert oven.bake() == 1
    files.acts["big"] = []
    files.content["big"] = CONTENT[::-1]
    assert oven.bake() == 0
    assert (oven.folder / NAME).read_bytes() == CONTENT[::-1]
    assert not list(oven.folder.rglob("*.part"))


def test_without_an_etag_or_digest_every_try_begins_anew(oven: Oven, files: Files):
    files.etags = False
    files.acts["big"] = [faults.drops(HALF)]
    assert oven.bake() == 0
    assert files.ranges("big") == ["", ""]


def test_a_server_with_another_digest_than_known_is_refused_before_anything_is_fetched(
    oven: Oven, files: Files, capsys
):
    head = lambda answer: answer.head(200, Content_Length="5", X_Linked_ETag=f'"{"0" * 64}"')  # noqa: E731
    files.greetings["big"] = [head]
    assert oven.bake(sha256=SHA256) == 3
    assert files.ranges("big") == []
    assert "the server has sha256 000" in capsys.readouterr().err


def test_the_digest_that_the_hub_tells_is_checked(oven: Oven, files: Files):
    told = f'"{hashlib.sha256(b"other").hexdigest()}"'
    files.greetings["big"] = [
        lambda answer: answer.head(206, Content_Range="bytes 0-0/3000000", Content_Length="0", X_Linked_ETag=told)
    ]
    assert oven.bake() == 3
    assert oven.names() == []


def test_a_disk_without_room_is_found_before_anything_is_fetched(oven: Oven, files: Files, capsys):
    size = f"bytes 0-0/{10**17}"
    files.greetings["big"] = [lambda answer: answer.head(206, Content_Range=size, Content_Length="0")]
    assert oven.bake() == 4
    assert files.ranges("big") == []
    assert "GB are needed" in capsys.readouterr().err


def test_a_killed_bake_is_gone_on_with(oven: Oven, files: Files):
    files.acts["big"] = [faults.stands_still(HALF)]
    process = subprocess.Popen([sys.executable, "-m", "builder.bake", *oven.arguments()], cwd=ROOT)
    assert files.held.wait(120)
    (part,) = _parts_of_size(oven.folder, HALF)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert oven.names() == []
    assert part.stat().st_size == HALF
    assert oven.bake() == 0
    assert oven.is_done()
    assert files.ranges("big")[-1] == f"bytes={HALF}-"


def _parts_of_size(folder: Path, size: int) -> list[Path]:
    """The parts, once one has that size: what the server has sent is on its way to the disk."""
    while True:
        parts = list(folder.rglob("*.part"))
        if any(part.stat().st_size == size for part in parts):
            return parts


def test_the_digest_of_a_first_bake_is_recorded_and_holds_for_the_next(oven: Oven, files: Files, capsys):
    assert oven.bake() == 0
    row = json.loads(oven.lock.read_text())["files"][NAME]
    assert row == {"source": files.url("big"), "bytes": len(CONTENT), "sha256": SHA256}
    (oven.folder / NAME).unlink()
    files.content["big"] = CONTENT[::-1]
    assert oven.bake() == 3
    assert oven.names() == []
    assert SHA256 in capsys.readouterr().err


def test_a_file_that_is_there_is_checked_and_not_fetched(oven: Oven, files: Files, capsys):
    assert oven.bake() == 0
    asked = len(files.asked)
    assert oven.bake() == 0
    assert len(files.asked) == asked
    (oven.folder / NAME).write_bytes(b"another")
    assert oven.bake() == 3
    assert "remove it" in capsys.readouterr().err
    assert (oven.folder / NAME).read_bytes() == b"another"


def test_a_plan_is_told_with_sizes_and_nothing_is_written(oven: Oven, capsys):
    assert oven.bake("--dry-run") == 0
    told = capsys.readouterr().out
    assert "3.00 MB  checkpoints/big.safetensors" in told
    assert "1 files, into" in told
    assert not oven.folder.exists()
    assert not oven.lock.exists()


def test_one_failure_does_not_stop_the_others(oven: Oven, files: Files):
    files.content["small"] = b"small"
    files.acts["big"] = [faults.says(404)]
    own = f"{NAME}={files.url('big')} loras/small.safetensors={files.url('small')}"
    where = ["--into", str(oven.folder), "--lock", str(oven.lock), "--presets", "starter", "--features", "none"]
    assert run([*where, "--files", own], {}, oven.patience) == 1
    assert oven.names() == ["loras/small.safetensors"]


def test_two_bakes_do_not_share_a_folder(oven: Oven, files: Files, capsys):
    files.acts["big"] = [faults.stands_still(HALF)]
    with subprocess.Popen([sys.executable, "-m", "builder.bake", *oven.arguments()], cwd=ROOT) as process:
        assert files.held.wait(120)
        assert oven.bake() == 2
        process.kill()
    assert "another bake" in capsys.readouterr().err


def test_a_token_is_sent_to_its_own_host_and_to_none_that_it_leads_to(oven: Oven, files: Files):
    with file_server() as elsewhere:
        elsewhere.content["big"] = CONTENT
        path = "o/r/resolve/main/big"
        files.content[path] = b""
        files.greetings[path] = files.acts[path] = [faults.leads_to(elsewhere.url("big")) for _ in range(9)]
        own = f"{NAME}=https://huggingface.co/{path}"
        where = ["--into", str(oven.folder), "--lock", str(oven.lock), "--presets", "starter", "--features", "none"]
        environment = {"HF_MIRROR": files.url("").rstrip("/"), "HF_TOKEN": "hf_secret"}
        assert run([*where, "--files", own], environment, oven.patience) == 0
        assert {headers.get("authorization") for _, headers in files.asked} == {"Bearer hf_secret"}
        assert {headers.get("authorization") for _, headers in elsewhere.asked} == {None}
    assert oven.is_done()
    assert "hf_secret" not in oven.lock.read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--presets", "pony"], {}, "known: starter, default"),
        (["--features", "everything"], {}, "known: none, standard, all"),
        (["--files", "loras/x"], {}, "unknown file"),
        (["--files", "elsewhere/x=http://h/x"], {}, "KIND/NAME=URL"),
        (["--files", "loras/../x=http://h/x"], {}, "KIND/NAME=URL"),
        (["--parallel", "0"], {}, "BAKE_PARALLEL is '0'; allowed: whole numbers from 1 to 16"),
        ([], {"BAKE_HALF": "perhaps"}, "BAKE_HALF is 'perhaps'; allowed: on, off"),
        ([], {"HF_MIRROR": "mirror"}, "HF_MIRROR is 'mirror'"),
        ([], {"HF_TOKEN_FILE": "/nowhere/at/all"}, "HF_TOKEN_FILE: the file cannot be read"),
    ],
)
def test_bad_arguments_are_named_with_what_is_allowed(tmp_path: Path, capsys, arguments, environment, told):
    where = ["--into", str(tmp_path / "models"), "--lock", str(tmp_path / "lock.json")]
    assert run([*where, *arguments], environment) == 2
    assert told in capsys.readouterr().err


def test_a_lock_file_that_is_none_is_refused(oven: Oven, capsys):
    oven.lock.write_text('{"files": [1]}')
    assert oven.bake() == 2
    assert "no lock file" in capsys.readouterr().err


def test_a_halved_checkpoint_is_known_again(oven: Oven, files: Files):
    weights = {"model.diffusion_model.a": np.ones((64, 64), "f4")}
    files.content["big"] = save(weights)
    assert oven.bake("--half") == 0
    assert load_file(oven.folder / NAME)["model.diffusion_model.a"].dtype == np.float16
    assert oven.bake("--half") == 0
    assert len(files.ranges("big")) == 1
    row = json.loads(oven.lock.read_text())["files"][NAME]
    assert row["bytes"] == len(files.content["big"])
    assert row["kept"]["bytes"] == (oven.folder / NAME).stat().st_size


def test_a_checkpoint_that_is_there_is_halved_too(oven: Oven, files: Files):
    files.content["big"] = save({"model.diffusion_model.a": np.ones((64, 64), "f4")})
    assert oven.bake() == 0
    assert oven.bake("--half") == 0
    assert load_file(oven.folder / NAME)["model.diffusion_model.a"].dtype == np.float16
    assert oven.bake() == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "names"), [(Terminal(), {"all", "a.bin"}), (io.StringIO(), {"all"})])
def test_a_terminal_shows_a_bar_for_each_file_and_a_log_one_for_all(stream, names):
    with Bars({"loras/a.bin": 100}, 40, stream) as bars:
        bars.moved("loras/a.bin", 60)
        bars.done("loras/a.bin")
        bars.done("loras/never-moved.bin")
    shown = stream.getvalue()
    assert {name for name in ("all", "a.bin") if f"{name}:" in shown} == names
    assert "100%" in shown
