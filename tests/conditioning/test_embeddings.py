"""Which rows of a textual-inversion file each encoder takes."""

import pytest
import torch

from fooocus_engine.conditioning.embeddings import embedding_rows
from fooocus_engine.models.weights import read_content

TWO = torch.arange(8.0).reshape(2, 4)


def test_each_encoder_takes_its_own_key():
    content = {"clip_l": TWO, "clip_g": TWO + 1}
    assert torch.equal(torch.stack(embedding_rows(content, "clip_g", 4)), TWO + 1)


def test_the_first_entry_of_an_old_file_serves_both():
    assert len(embedding_rows({"string_to_param": {"*": TWO}, "name": "x"}, "clip_l", 4)) == 2


def test_a_single_vector_is_one_row():
    assert len(embedding_rows({"emb": TWO[0]}, "clip_l", 4)) == 1


@pytest.mark.parametrize(
    "content",
    [
        {"string_to_param": {"*": [TWO, torch.ones(1, 5)]}},
        [TWO, torch.ones(1, 5)],
        [{"a": TWO[:1], "b": torch.ones(1, 5)}, {"c": TWO[1]}],
    ],
)
def test_of_a_list_all_fitting_tensors_count(content):
    assert torch.equal(torch.stack(embedding_rows(content, "clip_l", 4)), TWO)


def test_a_file_that_holds_a_list_goes_through_the_safe_reader(tmp_path):
    torch.save([{"emb": TWO}], tmp_path / "x.pt")
    assert torch.equal(torch.stack(embedding_rows(read_content(tmp_path / "x.pt"), "clip_l", 4)), TWO)


def test_rows_of_another_width_are_kept_for_their_place():
    assert [row.shape[-1] for row in embedding_rows({"emb": torch.ones(3, 5)}, "clip_l", 4)] == [5, 5, 5]


def test_a_file_without_tensors_has_no_rows():
    assert embedding_rows({"note": "text"}, "clip_l", 4) == []
    assert embedding_rows({}, "clip_l", 4) == []
    assert embedding_rows({"string_to_param": {}}, "clip_l", 4) == []
    assert embedding_rows([], "clip_l", 4) == []
    assert embedding_rows([{"note": "text"}, torch.ones(())], "clip_l", 4) == []
