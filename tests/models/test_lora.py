"""LoRA-type files on the tiny model: recorded merges, the rules of matching, precision and undoing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.lora import lora_changes, modules
from fooocus_engine.models.patching import patched
from tests.golden.records import Record
from tests.models.one_step import LORAS, PATCHES, TOLERANCE, encoded, error, estimates, features, tiny_model

MERGES = [record for record in features().records if record.kind == "merge" and record.id != "merge/missing_file"]
MERGED = {"rtol": 1e-6, "atol": 1e-6}  # records/README.md
QUERY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"  # 64 × 64
QUERY_WEIGHT = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight"
NORM = "lora_unet_down_blocks_0_resnets_0_norm1"  # 32
NORM_WEIGHT = "down_blocks.0.resnets.0.norm1"


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return tiny_model()


@contextmanager
def applied(model: DiffusionModel, files: list[tuple[Path, float]]) -> Iterator[tuple[str, ...]]:
    """The model with ``files`` merged; gives the warnings."""
    changes = lora_changes(model, files)
    with ExitStack() as stack:
        for part, module in modules(model).items():
            stack.enter_context(patched(module, changes.by_part.get(part, {})))
        yield changes.warnings


def files_of(record: Record) -> list[tuple[Path, float]]:
    loras = [(LORAS / name, strength) for name, strength in record.settings["loras"]]
    return loras + [(PATCHES / name, strength) for name, strength in record.settings["patch_files"]]


def weights(model: DiffusionModel) -> dict[str, Tensor]:
    """A copy of every weight under its name in the recordings: ``input_blocks…``, ``clip_l.transformer.…``."""
    unet = dict(model.unet.named_parameters())
    found = {ldm: unet[name].detach().clone() for ldm, name in model.unet_names.items()}
    for part in ("clip_l", "clip_g"):
        for name, weight in modules(model)[part].named_parameters():
            found[f"{part}.transformer.{name}"] = weight.detach().clone()
    return found


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def summary(weight: Tensor) -> list[float]:
    """As the recordings have it: sum, sum of absolute values, first three values."""
    return [float(weight.double().sum()), float(weight.double().abs().sum()), *weight.flatten()[:3].tolist()]


@pytest.mark.parametrize("record", MERGES, ids=lambda record: record.id)
def test_merged_weights_are_the_recorded_ones(record, model):
    pristine = weights(model)
    with applied(model, files_of(record)):
        merged = weights(model)
    recorded = record.data["unet_patched"] | record.data["clip_patched"]
    assert changed(pristine, merged) == recorded.keys()
    for name, numbers in recorded.items():
        torch.testing.assert_close(torch.tensor(summary(merged[name])), torch.tensor(numbers), **MERGED)
    for output, key in record.settings["merged_keys"].items():
        if output in record.outputs:
            weight = merged[key.removeprefix("diffusion_model.")]
            torch.testing.assert_close(weight, record.output(output), **MERGED)


@pytest.mark.parametrize("record", MERGES, ids=lambda record: record.id)
def test_estimates_with_merged_weights_are_the_recorded_ones(record, model):
    pooled = record.output("cond_pooled")
    with applied(model, files_of(record)):
        positive, negative = estimates(model, record.settings["sigma"], pooled)
        if "cond" in record.outputs:
            texts = features().record("common").settings["positive"]
            cond = torch.cat([encoded(model, text)[0] for text in texts], dim=1)
            assert error(cond, record.output("cond")) < TOLERANCE
    assert error(positive, record.output("positive_x0")) < TOLERANCE
    assert error(negative, record.output("negative_x0")) < TOLERANCE


@pytest.mark.parametrize("sigma", [10.0, 3.0, 0.3])
def test_estimates_without_any_file_are_the_recorded_ones(sigma, model):
    record = features().record(f"plain/{sigma}")
    positive, negative = estimates(model, sigma)
    assert error(positive, record.output("positive_x0")) < TOLERANCE
    assert error(negative, record.output("negative_x0")) < TOLERANCE


def test_strength_zero_changes_nothing(model):
    pristine = weights(model)
    with applied(model, [(LORAS / "tiny_kohya.safetensors", 0.0)]):
        assert not changed(pristine, weights(model))


def test_every_weight_is_bit_identical_again_also_after_an_error(model):
    pristine = weights(model)
    with pytest.raises(RuntimeError, match="inside"), applied(model, [(LORAS / "tiny_kohya.safetensors", 0.8)]):
        assert changed(pristine, weights(model))
        raise RuntimeError("inside")
    assert not changed(pristine, weights(model))


def test_several_files_round_to_the_weights_type_only_once(tmp_path):
    """Two changes that are lost alone in half precision are seen together."""
    model = tiny_model()
    model.unet.half()
    weight = dict(model.unet.named_parameters())[QUERY_WEIGHT]
    with torch.no_grad():
        weight.fill_(1.0)
    step = torch.full((64, 64), 0.4 * 2**-10)  # half of the distance between halves above 1 would round up
    path = lora_file(tmp_path, {f"{QUERY}.diff": step})
    with applied(model, [(path, 1.0)]):
        assert torch.equal(weight, torch.ones_like(weight))
    with applied(model, [(path, 1.0), (path, 1.0)]):
        assert torch.equal(weight, torch.full_like(weight, 1 + 2**-10))


def test_generalised_lora_sees_the_changes_before_it(tmp_path, model):
    ones = torch.eye(64)
    diff = lora_file(tmp_path, {f"{QUERY}.diff": ones}, "diff")
    glora = {f"{QUERY}.a1.weight": ones, f"{QUERY}.a2.weight": ones.clone()}
    glora |= {f"{QUERY}.b1.weight": torch.zeros(64, 64), f"{QUERY}.b2.weight": torch.zeros(64, 64)}
    double = lora_file(tmp_path, glora, "glora")  # W += 1·W
    pristine = weights_of(model, QUERY_WEIGHT)
    with applied(model, [(diff, 1.0), (double, 1.0)]):
        torch.testing.assert_close(weights_of(model, QUERY_WEIGHT), 2 * (pristine + ones))
    with applied(model, [(double, 1.0), (diff, 1.0)]):
        torch.testing.assert_close(weights_of(model, QUERY_WEIGHT), 2 * pristine + ones)


@pytest.mark.parametrize("kinds", [("w_norm", "b_norm"), ("diff", "diff_b")])
def test_differences_reach_weight_and_bias(kinds, tmp_path, model):
    step = {f"{NORM}.{kinds[0]}": torch.full((32,), 0.5), f"{NORM}.{kinds[1]}": torch.full((32,), 0.25)}
    before = weights_of(model, f"{NORM_WEIGHT}.weight"), weights_of(model, f"{NORM_WEIGHT}.bias")
    with applied(model, [(lora_file(tmp_path, step), 2.0)]) as warnings:
        torch.testing.assert_close(weights_of(model, f"{NORM_WEIGHT}.weight"), before[0] + 1)
        torch.testing.assert_close(weights_of(model, f"{NORM_WEIGHT}.bias"), before[1] + 0.5)
    assert not warnings


def test_a_later_kind_replaces_an_earlier_one_for_the_same_weight(tmp_path, model):
    tensors = {f"{QUERY}.lora_up.weight": torch.ones(64, 1), f"{QUERY}.lora_down.weight": torch.ones(1, 64)}
    path = lora_file(tmp_path, {f"{QUERY}.diff": torch.full((64, 64), 0.5)} | tensors)
    before = weights_of(model, QUERY_WEIGHT)
    with applied(model, [(path, 1.0)]):
        torch.testing.assert_close(weights_of(model, QUERY_WEIGHT), before + 0.5)


@pytest.mark.parametrize(
    "names",
    [
        ("{}.lora_up.weight", "{}.lora_down.weight"),
        ("{}_lora.up.weight", "{}_lora.down.weight"),
        ("{}.lora_linear_layer.up.weight", "{}.lora_linear_layer.down.weight"),
    ],
)
def test_the_three_spellings_of_lora_mean_the_same(names, tmp_path, model):
    up, down = (name.format(QUERY) for name in names)
    tensors = {up: torch.ones(64, 2), down: torch.ones(2, 64), f"{QUERY}.alpha": torch.tensor(1.0)}
    before = weights_of(model, QUERY_WEIGHT)
    with applied(model, [(lora_file(tmp_path, tensors), 1.0)]):
        torch.testing.assert_close(weights_of(model, QUERY_WEIGHT), before + 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_read(dtype, tmp_path, model):
    path = lora_file(tmp_path, {f"{QUERY}.diff": torch.full((64, 64), 0.5, dtype=dtype)})
    before = weights_of(model, QUERY_WEIGHT)
    with applied(model, [(path, 1.0)]):
        assert torch.equal(weights_of(model, QUERY_WEIGHT), before + 0.5)


@pytest.mark.parametrize(("unknown", "used"), [(12, True), (13, False)])
def test_a_file_with_more_than_twelve_unknown_keys_is_left_out_with_a_warning(unknown, used, tmp_path, model):
    tensors = {f"lora_te3_layer_{i}.lora_up.weight": torch.ones(1) for i in range(unknown)}
    path = lora_file(tmp_path, tensors | {f"{QUERY}.diff": torch.ones(64, 64)}, "strange")
    before = weights_of(model, QUERY_WEIGHT)
    with applied(model, [(path, 1.0)]) as warnings:
        assert torch.equal(weights_of(model, QUERY_WEIGHT), before) is not used
    expected = "LoRA 'strange.safetensors' was left out: 13 of its 14 keys belong to no weight of this model"
    assert warnings == (() if used else (expected,))


def test_keys_of_half_a_pair_are_unknown(tmp_path, model):
    blocks = [f"lora_te2_text_model_encoder_layers_{b}_mlp_fc{n}" for b in range(3) for n in (1, 2)]
    attention = [f"lora_te1_text_model_encoder_layers_{b}_self_attn_{n}_proj" for b in range(3) for n in "qkv"]
    path = lora_file(tmp_path, {f"{base}.lora_up.weight": torch.ones(4, 1) for base in blocks + attention})
    assert "15 of its 15 keys" in lora_changes(model, [(path, 1.0)]).warnings[0]


def test_a_change_of_the_wrong_shape_is_left_out_with_a_warning_and_the_rest_is_used(tmp_path, model):
    other = QUERY.replace("to_q", "to_k")
    path = lora_file(tmp_path, {f"{QUERY}.diff": torch.ones(64, 63), f"{other}.diff": torch.ones(64, 64)}, "odd")
    pristine = weights(model)
    with applied(model, [(path, 1.0)]) as warnings:
        assert changed(pristine, weights(model)) == {"input_blocks.4.1.transformer_blocks.0.attn1.to_k.weight"}
    assert len(warnings) == 1
    assert "odd.safetensors" in warnings[0]
    assert QUERY_WEIGHT in warnings[0]


def test_a_model_without_encoders_still_knows_their_keys():
    model = tiny_model()
    refiner = DiffusionModel(**{**vars(model), "text": None, "codec": None})
    changes = lora_changes(refiner, [(LORAS / "tiny_kohya.safetensors", 1.0)])
    assert not changes.warnings
    assert set(changes.by_part) == {"unet"}


def test_a_missing_file_is_unavailable(tmp_path, model):
    with pytest.raises(ModelUnavailable, match="nope"):
        lora_changes(model, [(tmp_path / "nope.safetensors", 1.0)])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".fooocus.patch"])
def test_an_unreadable_file_is_refused_by_its_name_alone(suffix, tmp_path, model):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"not a model")
    with pytest.raises(BadModelFile) as caught:
        lora_changes(model, [(path, 1.0)])
    assert path.name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("value", [(torch.zeros(2),), ("a", "b", "c"), ("a", 0.0, 1.0), 5, {"levels": torch.zeros(2)}])
def test_a_patch_of_another_form_is_refused(value, tmp_path, model):
    path = tmp_path / "odd.fooocus.patch"
    torch.save({"diffusion_model.input_blocks.0.0.weight": value}, path)
    with pytest.raises(BadModelFile, match=r"odd\.fooocus\.patch"):
        lora_changes(model, [(path, 1.0)])


def test_torch_files_with_plain_numbers_as_alpha_are_read(tmp_path, model):
    path = tmp_path / "old.pt"
    tensors = {f"{QUERY}.lora_up.weight": torch.ones(64, 2), f"{QUERY}.lora_down.weight": torch.ones(2, 64)}
    torch.save(tensors | {f"{QUERY}.alpha": 1.0, "note": "made by hand"}, path)
    before = weights_of(model, QUERY_WEIGHT)
    with applied(model, [(path, 1.0)]):
        torch.testing.assert_close(weights_of(model, QUERY_WEIGHT), before + 1)


def test_a_patch_reaches_biases(tmp_path, model):
    path = tmp_path / "bias.fooocus.patch"
    levels = torch.full((32,), 255, dtype=torch.uint8)
    torch.save({"diffusion_model.input_blocks.0.0.bias": (levels, torch.tensor(-1.0), torch.tensor(3.0))}, path)
    before = weights_of(model, "conv_in.bias")
    with applied(model, [(path, 1.0)]):
        torch.testing.assert_close(weights_of(model, "conv_in.bias"), before + 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_gives_the_same_weights():
    on_host, on_device = tiny_model(), tiny_model()
    for module in modules(on_device).values():
        module.to("cuda")
    files = [(LORAS / f"tiny_{name}.safetensors", 0.7) for name in ("kohya", "loha", "lokr")]
    with applied(on_host, files), applied(on_device, files):
        for name, weight in weights(on_host).items():
            torch.testing.assert_close(weights(on_device)[name].cpu(), weight, rtol=1e-5, atol=1e-6)


def lora_file(folder: Path, tensors: dict[str, Tensor], stem: str = "made") -> Path:
    path = folder / f"{stem}.safetensors"
    save_file(tensors, path)
    return path


def weights_of(model: DiffusionModel, parameter: str) -> Tensor:
    return dict(model.unet.named_parameters())[parameter].detach().clone()
