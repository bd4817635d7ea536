"""Replays groups E0 and E: the plain UNet and autoencoder, merged files, FreeU, control-LoRAs, image prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fooocus_engine.conditioning.control import image_control
from fooocus_engine.conditioning.encode import for_base
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.freeu import freeu
from fooocus_engine.models.image_attention import ImagePrompt
from fooocus_engine.models.inpaint_patch import head_added
from fooocus_engine.models.lora import modules
from fooocus_engine.sampling.guidance import guided
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.settings import GuidanceSettings
from fooocus_engine.sampling.unet_denoiser import Stage, UNetDenoiser
from fooocus_engine.types import Conditioning, Control, ModelChoice, Residuals, UNetCall
from tests.golden.compare import tensor_error
from tests.golden.image_prompts import prompts_of, token_errors
from tests.golden.prompts import conditioner
from tests.golden.records import Group, Record, tiny_folder
from tests.golden.workbench import BASE, Workbench

MERGED = 1e-6  # allowed for merged weights, absolute (the group's note)
TEXTS = 2e-5  # allowed for conditioning, absolute and relative, as in group D
CHECKSUM = 1e-6  # allowed for the recorded sums of a weight, relative to the sum of its absolute values
CONTROLS = {  # kind → file, record that shows its hint
    "canny": ("control-lora-canny-rank128.safetensors", "control/0"),
    "cpds": ("fooocus_xl_cpds_128.safetensors", "control/3"),
}


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group E0 or E."""
    match record.kind:
        case "unet_forward":
            return plain_unet(record, workbench.prepared().base)
        case "vae_decode" | "vae_encode_moments":
            return plain_codec(record, workbench.prepared().base)
        case "common":
            return common_texts(record, workbench)
        case "plain":
            return step_error(record, workbench.prepared().base, workbench)
        case "merge":
            return merged(record, workbench)
        case "freeu":
            factors = (record.settings[name] for name in ("b1", "b2", "s1", "s2"))
            model = workbench.prepared().base
            with freeu(model.unet, *factors):
                return step_error(record, model, workbench)
        case "control":
            return controlled_step(record, workbench)
        case "inpaint_head":
            return headed_step(record, workbench)
        case "ip" if record.id == "ip/tokens":
            return max(token_errors(record, workbench))
        case "ip":
            prompts = prompts_of(record, workbench)
            return step_error(record, workbench.prepared().base, workbench, prompts=prompts)
        case _:
            return None


def allowed(record: Record) -> dict[str, float]:
    tolerance = record.group.tolerance
    return {"absolute": tolerance["abs"], "relative": tolerance.get("rel", 0.0)}


@torch.inference_mode()
def plain_unet(record: Record, model: DiffusionModel) -> float:
    """The recorded size vector is already embedded, so it enters behind the UNet's own embedding."""
    y = record.input("y")
    hook = model.unet.add_embedding.register_forward_pre_hook(lambda module, inputs: (y,))
    output = model.unet(
        record.input("x"),
        record.input("timesteps"),
        encoder_hidden_states=record.input("context"),
        added_cond_kwargs={"text_embeds": y[:, : -6 * 256], "time_ids": torch.zeros(len(y), 6)},
    ).sample
    hook.remove()
    return tensor_error(output, record.output("eps"), **allowed(record))


def plain_codec(record: Record, model: DiffusionModel) -> float:
    codec = model.codec
    assert codec is not None
    if record.kind == "vae_decode":
        image = codec.decode(record.input("z")).permute(0, 2, 3, 1)
        return tensor_error(image, record.output("image_bhwc_01"), **allowed(record))
    moments = codec.moments(record.input("image_bhwc_01").permute(0, 3, 1, 2))
    return tensor_error(moments, record.output("moments"), **allowed(record))


def common_texts(record: Record, workbench: Workbench) -> float:
    settings = record.settings
    encode = conditioner(workbench, settings["clip_skip"]).encode
    errors = []
    for side, name in (("positive", "cond"), ("negative", "uncond")):
        cond, pooled = encode(settings[side], len(settings[side]))
        errors += [
            tensor_error(cond, record.input(name), absolute=TEXTS, relative=TEXTS),
            tensor_error(pooled, record.input(f"{name}_pooled"), absolute=TEXTS, relative=TEXTS),
        ]
    return max(errors)


def merged(record: Record, workbench: Workbench) -> float:
    settings = record.settings
    installed = {name for kind in ("loras", "inpaint") for name in listed(workbench, kind)}
    choice = ModelChoice(
        base=BASE,
        loras=tuple((name, weight) for name, weight in settings["loras"] if name in installed),
        base_patches=tuple((name, weight) for name, weight in settings["patch_files"]),
    )
    model = workbench.prepared(choice).base
    try:
        return max(step_error(record, model, workbench), *merged_errors(record, model))
    finally:
        workbench.prepared()


def headed_step(record: Record, workbench: Workbench) -> float:
    """The head's feature, and one guided step with it."""
    model = workbench.prepared().base
    scaled = record.input("latent") * model.latent_scale
    feature = workbench.resources.store.inpaint_head(BASE).feature(record.input("mask"), scaled)
    with head_added(model.unet, feature):
        step = step_error(record, model, workbench)
    return max(step, tensor_error(feature, record.output("head_feature"), **allowed(record)))


def listed(workbench: Workbench, kind: str) -> list[str]:
    folder = workbench.resources.catalogue.folder(kind)
    return [path.name for path in folder.iterdir()]


def merged_errors(record: Record, model: DiffusionModel) -> Iterator[float]:
    """Recorded merged weights, and for every patched key its sum, absolute sum and first values."""
    unet = dict(model.unet.named_parameters())
    for name, key in record.settings["merged_keys"].items():
        if name in record.outputs:
            weight = unet[model.unet_names[key.removeprefix("diffusion_model.")]]
            yield tensor_error(weight, record.output(name), absolute=MERGED, relative=MERGED)
    for key, expected in record.data["unet_patched"].items():
        yield checksum_error(unet[model.unet_names[key]], expected)
    for key, expected in record.data["clip_patched"].items():
        part, _, name = key.partition(".transformer.")
        yield checksum_error(dict(modules(model)[part].named_parameters())[name], expected)
    yield 0.0


def checksum_error(weight: Tensor, expected: list[float]) -> float:
    values = weight.detach().double().flatten()
    scale = expected[1] or 1.0
    sums = max(abs(float(values.sum()) - expected[0]), abs(float(values.abs().sum()) - expected[1])) / scale
    firsts = tensor_error(values[:3], torch.tensor(expected[2:], dtype=torch.float64), absolute=MERGED, relative=MERGED)
    return max(sums / CHECKSUM, firsts)


def controlled_step(record: Record, workbench: Workbench) -> float:
    """One guided step under one or two control networks; of ``residuals`` what the first text's row is told."""
    settings = record.settings
    if record.id == "control/chain":
        softness = record.group.record("common").settings["patch"]["controlnet_softness"]
        asked = [(*settings[name], softness) for name in ("first", "second")]
    else:
        asked = [(settings["kind"], settings["weight"], settings.get("stop", 1.0), settings["softness"])]
    model = workbench.prepared().base
    controls = [control(record.group, model, *each) for each in asked]
    if record.id != "control/residuals":
        return step_error(record, model, workbench, controls=controls)
    told: list[Residuals] = []
    step_error(record, model, workbench, controls=[Overheard(each, told) for each in controls])
    (residuals,) = told
    found = {f"output_{index}": skip for index, skip in enumerate(residuals.skips)} | {"middle_0": residuals.middle}
    rows = {name: found[name][-1:] for name in record.outputs}  # the positive text's row
    return max(tensor_error(rows[name], record.output(name), **allowed(record)) for name in rows)


@dataclass(frozen=True, eq=False)
class Overheard:
    """A control whose residuals are noted."""

    inner: Control
    told: list[Residuals]

    @property
    def stop(self) -> float:
        return self.inner.stop

    def residuals(self, call: UNetCall) -> Residuals:
        self.told.append(self.inner.residuals(call))
        return self.told[-1]


def control(group: Group, model: DiffusionModel, kind: str, weight: float, stop: float, softness: float) -> Control:
    """The recorded hint of this kind through its network."""
    file, shown = CONTROLS[kind]
    lora = ControlLora.load(tiny_folder(group.folder) / "adapters" / file, model.device, model.dtype)
    hint = group.record(shown).picture("hint")
    network = ControlNetwork.upon(model, lora)
    return image_control(network, hint, weight=weight, stop=stop, softness=softness)


def step_error(
    record: Record,
    model: DiffusionModel,
    workbench: Workbench,
    *,
    controls: Sequence[Control] = (),
    prompts: tuple[ImagePrompt, ...] = (),
) -> float:
    """One guided step at the record's sigma, texts encoded by ``model``, under controls and image prompts."""
    common = record.group.record("common")
    settings = common.settings
    encode = conditioner(workbench, settings["clip_skip"], model).encode
    sides = {"cond": settings["positive"], "uncond": settings["negative"]}
    texts = {name: encode(lines, len(lines)) for name, lines in sides.items()}
    errors = [
        tensor_error(texts["cond"][index], record.output(name), absolute=TEXTS, relative=TEXTS)
        for index, name in enumerate(("cond", "cond_pooled"))
        if name in record.outputs
    ]
    sides = {name: replace(side, controls=tuple(controls)) for name, side in conditionings(common, texts).items()}
    stage = Stage(model, sides["cond"], sides["uncond"], image_prompts=prompts)
    results = guided_step(common, stage, record.settings["sigma"])
    errors += [
        tensor_error(results[name], record.output(name), **allowed(record))
        for name in results
        if name in record.outputs
    ]
    return max(errors, default=0.0)


def conditionings(common: Record, texts: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Conditioning]:
    settings, patch = common.settings, common.settings["patch"]
    size = settings["width"], settings["height"]
    return {
        name: for_base(texts[name], size, adm_scale=patch[f"{side}_adm_scale"], adm_end=patch["adm_scaler_end"])
        for name, side in (("cond", "positive"), ("uncond", "negative"))
    }


@torch.inference_mode()
def guided_step(common: Record, stage: Stage, sigma: float) -> dict[str, Tensor]:
    settings, patch = common.settings, common.settings["patch"]
    denoise = UNetDenoiser(stage, discrete_sampling(), with_negative=True)
    x = common.input("noise") * sigma
    estimates = denoise(x, sigma)
    guidance = GuidanceSettings(cfg=settings["cfg"], sharpness=patch["sharpness"], adaptive_cfg=patch["adaptive_cfg"])
    assert estimates.negative is not None
    return {
        "positive_x0": estimates.positive,
        "negative_x0": estimates.negative,
        "x0": guided(x, estimates, guidance),
    }
