"""The model store: what it keeps, merges, drops and refuses. On the tiny model, in a models folder of its own."""

from __future__ import annotations

import hashlib
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from fooocus_engine.errors import BadModelFile, GpuOutOfMemory, JobCanceled, ModelUnavailable
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families.checkpoint import Target
from fooocus_engine.models.lora import modules
from fooocus_engine.models.store import HASH_BLOCK, ModelStore, target_of
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice
from tests.models.one_step import LORAS, PATCHES
from tests.models.tiny import CHECKPOINT

BASE = ModelChoice("own.safetensors")
STARTER = "starter_sdxl.safetensors"
KOHYA = ("tiny_kohya.safetensors", 0.8)
LOHA = ("tiny_loha.safetensors", 0.4)
State = dict[tuple[str, str], Tensor]
PATCH = ("inpaint_v26.fooocus.patch", 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's models folder with two copies of the tiny checkpoint, LoRAs, patches and a VAE."""
    root = tmp_path_factory.mktemp("models")
    for name in ("own", "other"):
        shutil.copytree(CHECKPOINT.with_suffix(""), root / "checkpoints" / name)
        shutil.copy(CHECKPOINT, root / "checkpoints" / f"{name}.safetensors")
    shutil.copytree(LORAS, root / "loras")
    (root / "inpaint").mkdir()
    for patch in PATCHES.glob("*.patch"):
        shutil.copy(patch, root / "inpaint")
    (root / "vae" / "sharp").mkdir(parents=True)
    shutil.copy(CHECKPOINT.with_suffix("") / "vae.json", root / "vae" / "sharp" / "vae.json")
    prefix = "first_stage_model."
    vae = {
        key.removeprefix(prefix): value / 2 for key, value in load_file(CHECKPOINT).items() if key.startswith(prefix)
    }
    save_file(vae, root / "vae" / "sharp.safetensors")
    return root


def on_cpu(folder: Path, dtype: str = "auto") -> ModelStore:
    return ModelStore(Settings(device="cpu", dtype=dtype), Catalogue(folder))


@pytest.fixture
def store(folder: Path) -> ModelStore:
    return on_cpu(folder)


def state(model: DiffusionModel) -> State:
    parts = modules(model).items()
    return {(part, name): p.detach().clone() for part, module in parts for name, p in module.named_parameters()}


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def states(store: ModelStore, *choices: ModelChoice) -> list[State]:
    """The base's weights under each choice in turn."""
    found = []
    for choice in choices:
        with store.prepared(choice) as prepared:
            found.append(state(prepared.base))
    return found


def test_the_same_choice_is_loaded_once(store):
    with store.prepared(BASE) as first, store.prepared(BASE) as second:
        assert first.base is second.base
        assert first.refiner is None
        assert first.warnings == ()


def test_a_change_of_loras_keeps_the_model_and_starts_from_untouched_weights(store, folder):
    with store.prepared(BASE) as prepared:
        unet = prepared.base.unet
    plain, one, two, other, again = states(
        store,
        BASE,
        ModelChoice(BASE.base, loras=(KOHYA,)),
        ModelChoice(BASE.base, loras=(KOHYA, LOHA)),
        ModelChoice(BASE.base, loras=(LOHA,)),
        BASE,
    )
    assert same(plain, again)
    assert not same(plain, one) and not same(one, two) and not same(two, other)
    assert same(states(on_cpu(folder), ModelChoice(BASE.base, loras=(LOHA,)))[0], other)
    with store.prepared(BASE) as prepared:
        assert prepared.base.unet is unet


def test_loras_stay_merged_between_jobs_with_the_same_choice(store):
    choice = ModelChoice(BASE.base, loras=(KOHYA,))
    with store.prepared(choice) as prepared:
        model, merged = prepared.base, state(prepared.base)
    assert same(state(model), merged)
    with torch.no_grad():
        next(iter(model.unet.parameters())).add_(1)  # would be lost if anything were merged again
    assert not same(states(store, choice)[0], merged)


def test_an_error_inside_leaves_the_store_usable(store):
    choice = ModelChoice(BASE.base, loras=(KOHYA,))
    (plain,) = states(store, BASE)
    with pytest.raises(RuntimeError, match="inside"), store.prepared(choice):
        raise RuntimeError("inside")
    assert same(states(store, BASE)[0], plain)


def test_an_unreadable_lora_is_refused_by_name_and_leaves_untouched_weights(store, folder):
    (folder / "loras" / "broken.safetensors").write_bytes(b"no")
    (plain,) = states(store, BASE)
    choice = ModelChoice(BASE.base, loras=(KOHYA, ("broken.safetensors", 1.0)))
    with pytest.raises(BadModelFile, match=r"broken\.safetensors") as caught, store.prepared(choice):
        pass
    assert str(folder) not in str(caught.value)
    assert same(states(store, BASE)[0], plain)


def test_a_skipped_lora_is_told_also_when_nothing_is_merged_anew(store):
    choice = ModelChoice(BASE.base, loras=(("tiny_mismatch.safetensors", 1.0),))
    for _ in range(2):
        with store.prepared(choice) as prepared:
            assert len(prepared.warnings) == 1
            assert "tiny_mismatch.safetensors" in prepared.warnings[0]
    with store.prepared(BASE) as prepared:
        assert prepared.warnings == ()


def test_the_refiner_gets_the_loras_but_not_the_base_patches(store):
    choice = ModelChoice(BASE.base, refiner="other.safetensors", loras=(KOHYA,), base_patches=(PATCH,))
    with store.prepared(choice) as prepared:
        assert prepared.refiner.text is None and prepared.refiner.codec is None
        base_unet, refiner_unet = state(prepared.base), state(prepared.refiner)
    (with_loras,) = states(store, ModelChoice(BASE.base, loras=(KOHYA,)))
    assert all(torch.equal(refiner_unet[name], with_loras[name]) for name in refiner_unet)
    assert not all(torch.equal(refiner_unet[name], base_unet[name]) for name in refiner_unet)


def test_a_patched_base_without_a_refiner_is_refined_by_itself_without_the_patch(store):
    with store.prepared(ModelChoice(BASE.base, loras=(KOHYA,), base_patches=(PATCH,))) as prepared:
        twin, plain = prepared.base, prepared.refiner
        assert plain.text is None and plain.codec is None and prepared.interposer is None
        assert plain.unet is not twin.unet and twin.text is not None
    with store.prepared(ModelChoice(BASE.base, loras=(KOHYA,))) as prepared:
        assert prepared.base.unet is plain.unet
        assert prepared.refiner is None


def test_a_patched_base_that_makes_all_steps_has_no_refiner(store):
    choice = ModelChoice(BASE.base, base_patches=(PATCH,), finishes_unpatched=False)
    with store.prepared(choice) as prepared:
        assert prepared.refiner is None
        twin = prepared.base.unet
    with store.prepared(ModelChoice(BASE.base, base_patches=(PATCH,))) as prepared:
        assert prepared.base.unet is twin and prepared.refiner is not None


def test_a_patch_stays_applied_beside_jobs_without_it(store):
    patched = ModelChoice(BASE.base, base_patches=(PATCH,))
    with store.prepared(patched) as prepared:
        twin = prepared.base.unet
    with store.prepared(BASE):
        pass
    with store.prepared(patched) as prepared:
        assert prepared.base.unet is twin
    with store.prepared(ModelChoice(BASE.base, vae="sharp.safetensors", base_patches=(PATCH,))) as prepared:
        assert prepared.base.unet is twin
    with store.prepared(ModelChoice(BASE.base, loras=(KOHYA,))):
        pass
    with store.prepared(patched) as prepared:
        assert prepared.base.unet is not twin


def test_a_job_with_other_loras_and_no_patch_lets_go_of_the_memory_that_was_patched(store):
    with store.prepared(ModelChoice(BASE.base, base_patches=(PATCH,))) as prepared:
        plain = set(prepared.refiner.unet.parameters())
        own = [weight for weight in prepared.base.unet.parameters() if weight not in plain]
        memory = {weakref.ref(weight.untyped_storage()) for weight in own}
    del prepared, own
    assert memory and all(place() is not None for place in memory)
    with store.prepared(ModelChoice(BASE.base, loras=(KOHYA,))):
        assert all(place() is None for place in memory)


def test_a_full_device_lets_go_of_what_is_patched(store):
    patched = ModelChoice(BASE.base, base_patches=(PATCH,))
    with store.prepared(patched) as prepared:
        twin = weakref.ref(prepared.base.unet)
    del prepared
    with pytest.raises(GpuOutOfMemory), store.prepared(BASE):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert twin() is None


def test_the_bases_own_name_is_no_refiner(store):
    with store.prepared(ModelChoice(BASE.base, refiner=BASE.base)) as prepared:
        assert prepared.refiner is None


def test_what_the_next_choice_does_not_need_is_dropped(store):
    with store.prepared(ModelChoice(BASE.base, refiner="other.safetensors")) as prepared:
        base, refiner = prepared.base.unet, prepared.refiner
    with store.prepared(BASE) as prepared:
        assert prepared.base.unet is base
    with store.prepared(ModelChoice(BASE.base, refiner="other.safetensors")) as prepared:
        assert prepared.refiner is not refiner
    with store.prepared(ModelChoice("other.safetensors")):
        pass
    with store.prepared(BASE) as prepared:
        assert prepared.base.unet is not base


def test_a_vae_override_replaces_the_codec_alone(store):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with store.prepared(BASE) as prepared:
        own, plain = prepared.base, prepared.base.codec.moments(image)
    with store.prepared(ModelChoice(BASE.base, vae="sharp.safetensors")) as prepared:
        assert prepared.base.unet is own.unet
        assert prepared.base.latent_scale == own.latent_scale
        assert not torch.allclose(prepared.base.codec.moments(image), plain)
    with store.prepared(BASE) as prepared:
        assert torch.equal(prepared.base.codec.moments(image), plain)


def test_a_replaced_checkpoint_is_loaded_anew(store, folder):
    path = folder / "checkpoints" / "own.safetensors"
    with store.prepared(BASE) as prepared:
        before = prepared.base
    replacement = path.with_suffix(".new")
    shutil.copy(path, replacement)
    replacement.rename(path)
    with store.prepared(BASE) as prepared:
        assert prepared.base is not before


def test_merging_never_writes_into_the_checkpoint_file(folder):
    path = folder / "checkpoints" / "own.safetensors"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    for dtype in ("float32", "float16"):  # weights that need no conversion stay memory-mapped
        with on_cpu(folder, dtype).prepared(ModelChoice(BASE.base, loras=(KOHYA,))):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_half_precision_weights_are_the_float32_merge_rounded_once(folder):
    choice = ModelChoice(BASE.base, loras=(KOHYA, LOHA))
    (full,) = states(on_cpu(folder), choice)
    (half,) = states(on_cpu(folder, "float16"), choice)
    merged = [name for name in full if "norm" not in name[1] and "embeddings" not in name[1]]
    assert all(torch.equal(half[name], full[name].half()) for name in merged)


def test_a_base_of_another_family_is_refused_in_the_words_of_the_reference(store, folder):
    tensors = {key: tensor for key, tensor in load_file(CHECKPOINT).items() if "embedders.1" not in key}
    save_file(tensors, folder / "checkpoints" / "half.safetensors")
    with pytest.raises(BadModelFile) as caught, store.prepared(ModelChoice("half.safetensors")):
        pass
    assert caught.value.message == "You have selected base model other than SDXL. This is not supported yet."


def test_a_missing_file_is_unavailable_and_drops_nothing(store):
    with store.prepared(BASE) as prepared:
        unet = prepared.base.unet
    for choice in (
        ModelChoice("nope.safetensors"),
        ModelChoice(BASE.base, refiner="nope.safetensors"),
        ModelChoice(BASE.base, vae="nope.safetensors"),
        ModelChoice(BASE.base, loras=(("nope.safetensors", 1.0),)),
        ModelChoice(BASE.base, base_patches=(("nope.patch", 1.0),)),
    ):
        with pytest.raises(ModelUnavailable, match="nope"), store.prepared(choice):
            pass
    with store.prepared(BASE) as prepared:
        assert prepared.base.unet is unet


def test_release_lets_go_of_everything(store):
    loads = []
    with store.prepared(BASE) as prepared:
        base = prepared.base
    for _ in range(2):
        store.resident("expander", loads.append)
    assert loads == [store.target]
    store.release()
    store.resident("expander", loads.append)
    assert len(loads) == 2
    with store.prepared(BASE) as prepared:
        assert prepared.base is not base


def test_a_full_device_is_told_as_such(store):
    def too_large(_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(GpuOutOfMemory):
        store.resident("large", too_large)
    with pytest.raises(GpuOutOfMemory), store.prepared(BASE):
        too_large(None)
    assert states(store, BASE)


def test_the_shipped_base_brings_its_own_companions(store):
    with store.prepared(ModelChoice(STARTER, loras=(("sdxl_lcm_lora.safetensors", 1.0),))) as prepared:
        assert prepared.warnings == ()
        preview = store.preview(prepared.base.family)
    assert preview is not None
    assert preview.render(torch.zeros(1, 4, 8, 6)).size == (12, 16)
    assert store.preview("sdxl") is preview


def test_a_preview_decoder_that_is_not_installed_is_none(store):
    with store.prepared(BASE):
        assert store.preview("sdxl") is None
    with pytest.raises(ModelUnavailable, match="interposer"):
        store.interposer()


def test_the_upscaler_of_the_users_folder_serves_the_users_checkpoints(folder, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(folder / "checkpoints/own.safetensors", tmp_path / "checkpoints")
    store = on_cpu(tmp_path, "bfloat16")
    with pytest.raises(ModelUnavailable, match="upscale_models"):
        store.upscaler(BASE.base)
    shutil.copytree(PATCHES, tmp_path / "upscale_models")
    upscaler = store.upscaler(BASE.base)
    assert store.upscaler(BASE.base) is upscaler
    assert upscaler.dtype == torch.float32
    assert next(upscaler.network.parameters()).dtype == torch.float32


def test_the_shipped_upscaler_serves_the_shipped_base_without_its_being_loaded(tmp_path):
    assert on_cpu(tmp_path).upscaler(STARTER).enlarge(Image.new("RGB", (3, 2))).size == (12, 8)


def test_the_short_hash_is_the_start_of_sha256_and_follows_the_file(store, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"abc")
    assert store.short_hash(path) == "ba7816bf8f"  # FIPS 180-2, example B.1
    path.write_bytes(b"")
    assert store.short_hash(path) == "e3b0c44298"


def test_a_hash_that_is_given_up_is_not_kept(store, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(3 * HASH_BLOCK))
    blocks = []

    def twice() -> None:
        blocks.append(len(blocks))
        if len(blocks) == 2:
            raise JobCanceled("job")

    with pytest.raises(JobCanceled):
        store.short_hash(path, twice)
    assert len(blocks) == 2
    assert store.short_hash(path) == hashlib.sha256(bytes(3 * HASH_BLOCK)).hexdigest()[:10]


def test_the_dtype_follows_the_device_unless_it_is_set():
    full, half, brain = torch.float32, torch.float16, torch.bfloat16
    assert target_of(Settings(device="cpu")) == Target(torch.device("cpu"), full, full)
    assert target_of(Settings(device="cuda")) == Target(torch.device("cuda"), half, half)
    assert target_of(Settings(device="cpu", dtype="bfloat16")) == Target(torch.device("cpu"), brain, half)
    assert target_of(Settings()).device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_everything_moves_there_and_release_empties_it(folder):
    store = ModelStore(Settings(device="cuda"), Catalogue(folder))
    torch.ones(2, 2, device="cuda") @ torch.ones(2, 2, device="cuda")  # the first product takes a workspace for good
    held = torch.cuda.memory_allocated()
    with store.prepared(ModelChoice(BASE.base, loras=(KOHYA,))) as prepared:
        devices = {p.device.type for module in modules(prepared.base).values() for p in module.parameters()}
        assert devices == {"cuda"}
        assert prepared.base.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        assert prepared.base.unet.dtype is torch.float16
    del prepared
    store.release()
    assert torch.cuda.memory_allocated() == held
