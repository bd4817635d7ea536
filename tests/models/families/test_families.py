"""Every family from the published layout to a model: counts, detection, loading with no weight missing or unknown."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.companion import Companion
from fooocus_engine.models.families import FAMILIES, NOT_SDXL, Target, detect, load_base, load_refiner, load_vae, sdxl
from fooocus_engine.models.families.checkpoint import UNET, VAE, load_unet, take_apart
from tests.golden.compare import tensor_error
from tests.models import layouts
from tests.models.tiny import CHECKPOINT, CPU, TOKENIZER, group, tiny_model

META = Target(torch.device("meta"), torch.float16)
FILES = {"sdxl": layouts.sdxl_file, "sdxl_refiner": layouts.refiner_file, "sd15": layouts.sd15_file}


def opened(weights):
    return take_apart(weights, file="x.safetensors", companion=Companion())


def count(weights, prefix):
    tensors = [tensor for key, tensor in weights.items() if key.startswith(prefix)]
    return len(tensors), sum(tensor.numel() for tensor in tensors)


def test_the_sdxl_layout_has_the_published_counts():
    weights = layouts.sdxl_file()  # models.md §5.1
    assert count(weights, "model.diffusion_model.") == (1680, 2_567_463_684)
    assert count(weights, "conditioner.embedders.0.transformer.text_model.") == (196, 123_060_480)
    assert count(weights, "conditioner.embedders.1.model.") == (390, 694_659_841)
    assert count(weights, "first_stage_model.") == (248, 83_653_863)


@pytest.mark.parametrize("name", FILES)
def test_each_family_is_detected_by_itself_alone(name):
    checkpoint = opened(FILES[name]())
    assert [family.name for family in FAMILIES if family.detect(checkpoint)] == [name]


@pytest.mark.parametrize(("name", "tensors"), [("sdxl", 1680), ("sdxl_refiner", 1220), ("sd15", 686)])
def test_each_family_loads_as_a_refiner_with_every_tensor_used(name, tensors, caplog):
    checkpoint = opened(FILES[name]())
    model = detect(checkpoint).load_refiner(checkpoint, META)
    assert caplog.messages == []  # nothing was passed over
    assert len(model.unet_names) == tensors
    assert set(model.unet_names.values()) == set(model.unet.state_dict())
    assert (model.family, model.text, model.prediction) == (name, None, "epsilon")
    assert (model.codec is None) == (name != "sd15")
    assert model.latent_scale == (0.18215 if name == "sd15" else 0.13025)


def test_a_whole_sdxl_file_loads_without_a_companion(tmp_path, caplog):
    model = sdxl.load(opened(layouts.sdxl_file()), META, layouts.write_vocabulary(tmp_path))
    assert caplog.messages == []  # nothing was passed over
    assert model.text.clip_l.text_model.config.hidden_act == "quick_gelu"
    assert model.text.clip_g.text_model.config.hidden_act == "gelu"
    assert (model.text.clip_l.width, model.text.clip_g.width) == (768, 1280)
    assert model.text.clip_g.text_model.config.num_attention_heads == 20
    assert model.unet.config.attention_head_dim == (5, 10, 20)


def test_a_distilled_layout_keeps_its_own_depths():
    checkpoint = opened(layouts.sdxl_file(layouts.VEGA_UNET))
    assert [level.depths for level in checkpoint.layout.down] == [(0, 0), (1, 1), (2, 2)]  # models.md §5.2
    model = sdxl.load(checkpoint, META, None)
    assert set(model.unet.state_dict()) == set(layouts.meta_unet(layouts.VEGA_UNET).state_dict())


def test_one_residual_block_a_level_is_as_good_as_two():
    checkpoint = opened(layouts.prefixed(UNET, layouts.ldm_unet(layouts.SMALL_UNET)))
    unet, _ = load_unet(checkpoint, META, heads=2)
    assert set(unet.state_dict()) == set(layouts.meta_unet(layouts.SMALL_UNET).state_dict())
    assert unet.config.layers_per_block == 1


def test_a_companion_that_makes_no_network_is_a_bad_model_file():
    weights = layouts.sdxl_file()
    checkpoint = take_apart(weights, file="x", companion=Companion(unet={"norm_num_groups": 7}))
    with pytest.raises(BadModelFile, match="no UNet can be made"):
        sdxl.load(checkpoint, META, None)


def test_a_unet_without_its_way_up_is_told():
    weights = {key: tensor for key, tensor in layouts.sdxl_file().items() if "output_blocks." not in key}
    with pytest.raises(BadModelFile, match=r"its UNet lacks output_blocks\.0"):
        opened(weights)


def test_v_prediction_is_told_by_a_key():
    weights = layouts.sdxl_file() | {"v_pred": torch.empty(0, device="meta")}
    assert sdxl.load(opened(weights), META, None).prediction == "v"


def test_keys_outside_of_all_parts_are_passed_over(tmp_path):
    weights = layouts.sdxl_file()
    weights["note.of.a.merge"] = weights[UNET + "out.0.bias"]
    assert sdxl.load(opened(weights), META, layouts.write_vocabulary(tmp_path)).prediction == "epsilon"


@pytest.mark.parametrize(
    "key",
    [
        UNET + "odd.weight",
        UNET + "middle_block.1.odd",
        "conditioner.embedders.0.transformer.text_model.odd",
        "conditioner.embedders.1.model.transformer.text_model.embeddings.position_ids",  # of published merges
        VAE + "decoder.odd",
    ],
)
def test_stray_keys_inside_a_part_are_passed_over_with_a_warning(tmp_path, caplog, key):
    weights = layouts.sdxl_file()
    weights[key] = torch.empty(7, device="meta")
    model = sdxl.load(opened(weights), META, layouts.write_vocabulary(tmp_path))
    (message,) = caplog.messages
    assert "nothing reads" in message
    assert set(model.unet_names.values()) == set(model.unet.state_dict())


def test_an_inpainting_unet_is_refused_by_name():
    weights = layouts.sdxl_file()
    weights[UNET + "input_blocks.0.0.weight"] = torch.empty(320, 9, 3, 3, device="meta")
    with pytest.raises(BadModelFile, match="9 channels"):
        opened(weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(UNET + "middle_block.1.norm.bias"), r"the UNet lacks mid_block\.attentions\.0\.norm\.bias"),
        (lambda w: w.update({UNET + "out.0.bias": torch.empty(7, device="meta")}), r"conv_norm_out\.bias is \(7,\)"),
        (lambda w: w.pop(VAE + "decoder.conv_out.bias"), r"the VAE lacks decoder\.conv_out\.bias"),
        (lambda w: w.pop("conditioner.embedders.1.model.ln_final.bias"), "the text encoder lacks"),
    ],
)
def test_missing_weights_and_odd_shapes_are_named(tmp_path, change, message):
    weights = layouts.sdxl_file()
    change(weights)
    with pytest.raises(BadModelFile, match=r"x\.safetensors: .*" + message):
        sdxl.load(opened(weights), META, layouts.write_vocabulary(tmp_path))


def test_a_file_without_a_unet_is_no_checkpoint():
    with pytest.raises(BadModelFile, match="not a checkpoint"):
        opened({"decoder.conv_in.weight": torch.ones(1)})


def test_the_tiny_unet_predicts_as_recorded():
    record = group("E0_unet_vae_plain").record("unet_forward")
    unet = tiny_model().unet
    # The record holds the finished vector embedding; the module would make it from pooled and sizes.
    hook = unet.add_embedding.register_forward_pre_hook(lambda module, inputs: (record.input("y"),))
    with torch.no_grad():
        eps = unet(
            record.input("x"),
            record.input("timesteps"),
            encoder_hidden_states=record.input("context"),
            added_cond_kwargs={"text_embeds": torch.zeros(2, 64), "time_ids": torch.zeros(2, 6)},
        ).sample
    hook.remove()
    assert tensor_error(eps, record.output("eps"), absolute=0, relative=1e-5) <= 1


def test_half_weights_on_a_half_target_stay_mapped_in_the_file():
    weights = load_file(CHECKPOINT)
    checkpoint = take_apart(weights, file=CHECKPOINT.name, companion=Companion(tokenizer=TOKENIZER))
    model = sdxl.load(checkpoint, Target(CPU.device, torch.float16), TOKENIZER)
    pointers = {tensor.untyped_storage().data_ptr() for tensor in weights.values()}
    modules = (model.unet, model.text.clip_l, model.text.clip_g)
    copied = [n for m in modules for n, p in m.named_parameters() if p.untyped_storage().data_ptr() not in pointers]
    assert copied == []


def test_no_buffer_stays_without_memory():
    model = tiny_model()
    modules = (model.unet, model.codec.vae, model.text.clip_l, model.text.clip_g)
    assert not [n for m in modules for n, b in [*m.named_buffers(), *m.named_parameters()] if b.is_meta]


def test_a_base_of_another_family_is_refused_with_the_documented_sentence(tmp_path):
    weights = load_file(CHECKPOINT)
    renamed = {
        key.replace("conditioner.embedders.1.model.", "conditioner.embedders.0.model."): tensor
        for key, tensor in weights.items()
        if not key.startswith("conditioner.embedders.0.")
    }
    save_file(renamed, tmp_path / "other.safetensors")
    with pytest.raises(BadModelFile, match=NOT_SDXL):
        load_base(tmp_path / "other.safetensors", CPU, tokenizer=TOKENIZER)
    with pytest.raises(BadModelFile, match="no supported family"):
        load_refiner(tmp_path / "other.safetensors", CPU)


def test_a_base_without_any_tokenizer_names_the_missing_file(tmp_path):
    (tmp_path / "copy.safetensors").symlink_to(CHECKPOINT)
    with pytest.raises(ModelUnavailable, match=r"vocab\.json"):
        load_base(tmp_path / "copy.safetensors", CPU, tokenizer=tmp_path)


def test_text_weights_may_be_kept_in_full_precision_after_rounding():
    kept = load_base(CHECKPOINT, Target(CPU.device, torch.float32, torch.float32), tokenizer=TOKENIZER)
    half = dict(tiny_model().text.clip_l.named_parameters())
    for name, parameter in kept.text.clip_l.named_parameters():
        assert torch.equal(parameter, half[name].to(parameter.dtype))
    assert kept.text.clip_l.final_layer_norm.weight.dtype == torch.float32


def test_a_vae_file_decodes_as_the_checkpoints_own(tmp_path):
    plain = {
        key.removeprefix(VAE): tensor.clone() for key, tensor in load_file(CHECKPOINT).items() if key.startswith(VAE)
    }
    diffusers = {key: tensor.clone() for key, tensor in tiny_model().codec.vae.state_dict().items()}
    latent = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = tiny_model().codec.decode(latent)
    for number, tensors in enumerate((plain | {"loss.logvar": torch.ones(1)}, diffusers)):
        save_file(tensors, tmp_path / f"{number}.safetensors")
        codec = load_vae(tmp_path / f"{number}.safetensors", CPU.device)
        assert torch.equal(codec.decode(latent), expected)


def test_an_incomplete_or_prefixed_vae_file_is_refused(tmp_path):
    tensors = {key: tensor.clone() for key, tensor in load_file(CHECKPOINT).items() if key.startswith(VAE)}
    save_file(tensors, tmp_path / "prefixed.safetensors")
    with pytest.raises(BadModelFile):
        load_vae(tmp_path / "prefixed.safetensors", CPU.device)
    partial = {key.removeprefix(VAE): tensor for key, tensor in tensors.items() if "decoder.mid" not in key}
    save_file(partial, tmp_path / "partial.safetensors")
    with pytest.raises(BadModelFile, match=r"lacks decoder\.mid_block"):
        load_vae(tmp_path / "partial.safetensors", CPU.device)
