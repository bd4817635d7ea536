"""Which rows of a textual-inversion file each encoder takes."""

import torch

from fooocus_engine.conditioning.embeddings import embedding_rows

TWO = torch.arange(8.0).reshape(2, 4)


def test_each_encoder_takes_its_own_key():
    content = {"clip_l": TWO, "clip_g": TWO + 1}
    assert torch.equal(torch.stack(embedding_rows(content, "clip_g", 4)), TWO + 1)


def test_the_first_entry_of_an_old_file_serves_both():
    assert len(embedding_rows({"string_to_param": {"*": TWO}, "name": "x"}, "clip_l", 4)) == 2


def test_a_single_vector_is_one_row():
    assert len(embedding_rows({"emb": TWO[0]}, "clip_l", 4)) == 1


def test_of_a_list_only_fitting_tensors_count():
    rows = embedding_rows({"string_to_param": {"*": [TWO, torch.ones(1, 5)]}}, "clip_l", 4)
    assert torch.equal(torch.stack(rows), TWO)


def test_rows_of_another_width_are_kept_for_their_place():
    assert [row.shape[-1] for row in embedding_rows({"emb": torch.ones(3, 5)}, "clip_l", 4)] == [5, 5, 5]


def test_a_file_without_tensors_has_no_rows():
    assert embedding_rows({"note": "text"}, "clip_l", 4) == []
    assert embedding_rows({}, "clip_l", 4) == []
