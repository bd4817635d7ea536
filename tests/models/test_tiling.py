"""Feathered tiles: nothing is lost or doubled, and odd borders keep the reference's weights."""

import pytest
import torch

from fooocus_engine.models.tiling import Tile, blend_tiles, blended_bands, feathered


@pytest.mark.parametrize("size", [(40, 56), (64, 64), (17, 90), (8, 8)])
def test_tiles_of_the_identity_give_the_picture_back(size):
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    blended = blend_tiles(picture, Tile(32, 24), overlap=8, scale=1.0, convert=lambda tile: tile)
    torch.testing.assert_close(blended, picture)


def test_bands_are_the_rows_of_the_whole_and_each_comes_before_the_next_tiles_are_made():
    picture, made = torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(1)), []

    def convert(tile):
        made.append(tile)
        return tile

    told = []
    for band in blended_bands(picture, Tile(32, 24), overlap=8, scale=1.0, convert=convert):
        told.append((len(made), band.clone()))
    assert [(tiles, band.shape[-2]) for tiles, band in told] == [(2, 16), (4, 16), (6, 16), (8, 2)]
    whole = blend_tiles(picture, Tile(32, 24), overlap=8, scale=1.0, convert=convert)
    assert torch.equal(torch.cat([band for _, band in told], dim=-2), whole)


@pytest.mark.parametrize("scale", [8.0, 0.125])
def test_the_result_has_the_scaled_size(scale):
    def resized(tile):
        return torch.nn.functional.interpolate(tile, scale_factor=scale)

    blended = blend_tiles(torch.ones(1, 4, 80, 96), Tile(64, 64), overlap=16, scale=scale, convert=resized)
    assert blended.shape == (1, 4, int(80 * scale), int(96 * scale))
    torch.testing.assert_close(blended, torch.ones_like(blended))


def test_a_long_side_falls_linearly_at_both_ends():
    assert feathered(10, 4).tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_a_side_shorter_than_the_feather_touches_rows_again_from_the_end():
    # s = 3, feather 8, by hand: near edge t = 0, 1, 2 on rows 0, 1, 2; far edge t = 0, 1, 2 on rows 2, 1, 0;
    # t = 3 nothing; t = 4, 5 on rows 2·3−t−1 = 1, 0; larger t nothing (sampling.md §8.2)
    t = [(i + 1) / 8 for i in range(8)]
    expected = [t[0] * t[2] * t[5], t[1] * t[1] * t[4], t[2] * t[0]]
    torch.testing.assert_close(feathered(3, 8), torch.tensor(expected))


def test_an_empty_picture_is_refused():
    with pytest.raises(ValueError, match="nothing to tile"):
        blend_tiles(torch.zeros(1, 3, 0, 8), Tile(8, 8), overlap=2, scale=1.0, convert=lambda tile: tile)
