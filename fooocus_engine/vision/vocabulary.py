"""The lower-case BERT vocabulary that the captioner and the detector share, as a tokenizer."""

from __future__ import annotations

from pathlib import Path

from tokenizers import BertWordPieceTokenizer

from fooocus_engine.errors import BadModelFile, ModelUnavailable

PADDING, BEGIN, END = "[PAD]", "[CLS]", "[SEP]"


def load_vocabulary(path: Path) -> BertWordPieceTokenizer:
    """The tokenizer of a file with one word piece a line.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: it is no such vocabulary.
    """
    if not path.is_file():
        raise ModelUnavailable(f"model file {path.name!r} is not installed")
    try:
        tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
    except Exception as error:  # the Rust side raises bare Exception on any damage
        raise BadModelFile(f"{path.name}: no BERT vocabulary") from error
    if any(tokenizer.token_to_id(word) is None for word in (PADDING, BEGIN, END)):
        raise BadModelFile(f"{path.name}: no BERT vocabulary; {PADDING}, {BEGIN} and {END} are needed")
    return tokenizer
