from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builder.starter.autoencoder import decode, encode, fold_scale, new_autoencoder
from builder.starter.export import NAME, write_checkpoint
from builder.starter.model import Networks, Words, new_tokenizer, text_states
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.store import ModelStore
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

HALF = 3e-3  # weights are rounded to float16


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    return Networks(new_tokenizer()).eval()


def test_an_exported_checkpoint_computes_what_was_trained(networks: Networks, tmp_path: Path):
    vae = new_autoencoder().eval()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    words = Words(networks.clip_l.tokenizer)
    with torch.no_grad():
        latent = encode(vae, image)
        made = decode(vae, latent)
        context, pooled = networks.text([[words.ids("two yellow stars at night")]])
        told = {"text_embeds": pooled, "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]])}
        x, timestep = torch.randn(1, 4, 16, 16), torch.tensor([500.0])
        noise = networks.unet(x, timestep, encoder_hidden_states=context, added_cond_kwargs=told).sample
    fold_scale(vae)
    write_checkpoint(networks.state_dict(), vae.state_dict(), tmp_path / "checkpoints")

    store = ModelStore(Settings(models_dir=tmp_path, device="cpu"), Catalogue(tmp_path))
    with store.prepared(ModelChoice(NAME)) as prepared, torch.no_grad():
        base = prepared.base
        loaded = base.unet(x, timestep, encoder_hidden_states=context, added_cond_kwargs=told).sample
        assert torch.allclose(loaded, noise, atol=HALF)
        assert base.codec is not None
        stored = base.codec.vae.encode(image).latent_dist
        assert torch.allclose(stored.mean * base.latent_scale, latent, atol=HALF)
        assert torch.allclose(base.codec.vae.decode(stored.mean).sample, made, atol=HALF)
        assert float(stored.std.max()) < 1e-5
        assert base.text is not None
        assert base.text.clip_l is not None
        assert base.text.clip_g is not None
        text = words.ids("two yellow stars at night")
        shown, kept = text_states((base.text.clip_l, base.text.clip_g), [[text]])
        assert torch.allclose(shown, context, atol=HALF)
        assert torch.allclose(kept, pooled, atol=HALF)


def test_the_checkpoint_stays_within_its_size(networks: Networks, tmp_path: Path):
    write_checkpoint(networks.state_dict(), new_autoencoder().state_dict(), tmp_path)
    assert (tmp_path / NAME).stat().st_size <= 12_000_000
