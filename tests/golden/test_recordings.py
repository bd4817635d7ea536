"""Enough recordings of every group to notice a change; `make golden` replays all of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.golden import prompts
from tests.golden.records import OWN_RECORDS
from tests.golden.replay import main, replay_of

CHOSEN = {
    "A_schedules": r"steps(4|30)/|table|functions|latent_format",
    "B_samplers": r"analytic/.*/8/|brownian",
    "C_guidance": r".",
    "D_prompts": r".",
    "E0_unet_vae_plain": r".",
    "E_unet_features": r"plain|merge|freeu|control|ip/|inpaint",
    "F_vae_upscaler": r"plain|preview|upscale|inpaint",
    "G_image_ops": r"canny|cpds|resize|resample|hwc3|shape_ceil|size_info|mask|erode|up255|fill|bbox|worker|outpaint",
    "H1_text2img": r"(lightning|hyper_sd|two_images|refiner_joint_sw|freeu|empty_prompt)$",
    "H2_samplers": r"(lcm__lcm|uni_pc__simple|euler__edm_playground_v2.5)$",
    "H3_image_inputs": r"(mix4|image_prompt_cfg1|canny_cpds_refiner|vary_overwrite|upscale_fast|"
    r"inpaint_none|inpaint_refiner|outpaint_top_euler|enhance_one|enhance_uov_after)$",
    "H4_extra": r"(metadata_a1111|metadata_fooocus|image_prompt_rgba_gray|embedding|same_model_refiner|disabled_uov)$",
}


@pytest.mark.parametrize("group", CHOSEN)
def test_chosen_recordings_are_met(group, capsys):
    assert main(["--only", f"^{group}/.*({CHOSEN[group]})"]) == 0, capsys.readouterr().out
    last = capsys.readouterr().out.splitlines()[-1]
    assert not last.startswith("0 passed")


def test_of_failed_workloads_only_the_failure_is_compared():
    failed = [prompts.comparable({"error": message, "loras": []}) for message in ("KeyError: 'x'", "no style 'x'")]
    assert failed[0] == failed[1] != prompts.comparable({"error": None, "loras": []})


def test_every_group_has_a_replay():
    groups = [path.stem for path in OWN_RECORDS.glob("?*_*.json") if path.stem != "peer_timings"]
    assert [group for group in groups if replay_of(group) is None] == []


@pytest.fixture
def one_record(tmp_path) -> Path:
    """A directory of recordings with one record and without tiny models."""
    content = json.loads((OWN_RECORDS / "D_prompts.json").read_text(encoding="utf-8"))
    content["records"] = [record for record in content["records"] if record["id"] == "safe_str/0"]
    (tmp_path / "D_prompts.json").write_text(json.dumps(content), encoding="utf-8")
    shutil.copy(OWN_RECORDS / "D_prompts.safetensors", tmp_path)
    return tmp_path


def tampered(folder: Path, change: dict[str, object]) -> None:
    path = folder / "D_prompts.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["records"].append({**content["records"][0], **change})
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_line_a_record_and_a_last_line_of_counts(one_record, capsys):
    assert main([str(one_record)]) == 0
    assert capsys.readouterr().out == "D_prompts/safe_str/0 ok 0\n1 passed, 0 failed, 0 unsupported\n"


def test_a_wrong_record_fails_and_sets_the_exit_status(one_record, capsys):
    tampered(one_record, {"id": "safe_str/1", "data": "something else"})
    assert main([str(one_record)]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "D_prompts/safe_str/1 FAIL inf",
        "1 passed, 1 failed, 0 unsupported",
    ]


def test_a_broken_record_hides_no_other(one_record, capsys):
    tampered(one_record, {"id": "safe_str/2", "settings": {}})
    tampered(one_record, {"id": "safe_str/3"})
    assert main([str(one_record)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 0 unsupported"


def test_an_unknown_kind_is_unsupported(one_record, capsys):
    tampered(one_record, {"id": "poems/1"})
    assert main([str(one_record), "--only", "poems"]) == 0
    assert capsys.readouterr().out == "D_prompts/poems/1 unsupported\n0 passed, 0 failed, 1 unsupported\n"
