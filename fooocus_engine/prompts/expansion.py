"""The prompt expander behind style `Fooocus V2`: a GPT-2 language model that adds words of a list (prompt.md §9).

Takes a folder with weights, vocabulary and word list; gives the prompt with words behind it. One prompt and one seed
give one text per kind of device. Draws from a generator of its own, so no other random state moves. Knows no styles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, GPT2Tokenizer

from fooocus_engine.errors import BadModelFile, InvalidRequest, ModelUnavailable, Problem
from fooocus_engine.models.weights import assign, read_weights
from fooocus_engine.prompts.syntax import safe_str

BLOCK = 75  # tokens: the expanded text fills whole blocks, as many as a text encoder reads at once
TOP_K = 100  # best tokens that a draw chooses from
FORBIDDEN = -8192.0  # added to the score of a token that must not come; representable in float16
SEEDS = 2**32  # seeds of the reference's generators
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read
VOCABULARY, MERGES, CONFIG, WORDS = "vocab.json", "merges.txt", "config.json", "positive.txt"
OLD_BUFFERS = (".attn.bias", ".attn.masked_bias")  # causal masks that older files carry along
OUTPUT, EMBEDDING = "lm_head.weight", "transformer.wte.weight"

# Blanks that decoding leaves before punctuation and short forms, deleted in this order (prompt.md §9, step 6).
_TIDY = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PromptExpander:
    """A loaded language model with its tokenizer, and what each token's score starts from."""

    model: Any
    """transformers' ``GPT2LMHeadModel`` in evaluation mode."""
    tokenizer: Any
    bias: Tensor
    """``[vocabulary]`` in the model's dtype: 0 for words of the list, ``FORBIDDEN`` for all else."""
    comma: int
    """Token that may always come, and as often as it likes."""

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> PromptExpander:
        """The expander of ``folder`` on ``device``: float16 on CUDA, float32 elsewhere.

        Raises:
            ModelUnavailable: a file is missing.
            BadModelFile: a file is damaged or does not fit the others.
        """
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        vocabulary = _read_vocabulary(folder)
        model = _load_model(folder, device, dtype)
        size = model.config.vocab_size
        if max(vocabulary.values()) >= size or "," not in vocabulary:
            raise BadModelFile(f"{VOCABULARY} of the prompt expander does not fit a model of {size} tokens")
        bias = _word_bias(vocabulary, _read_text(folder, WORDS).splitlines(), size)
        return cls(model, _load_tokenizer(folder), bias.to(device, dtype), vocabulary[","])

    @torch.inference_mode()
    def expand(self, prompt: str, seed: int) -> str:
        """``prompt``, a comma and more words, cleaned; an empty prompt stays empty.

        Words are added until the tokens fill blocks of 75.

        Raises:
            InvalidRequest: the prompt and its words are more than the model can read.
        """
        if prompt == "":
            return ""
        text = safe_str(prompt) + ","
        tokens: list[int] = self.tokenizer(text)["input_ids"]
        total = BLOCK * math.ceil(len(tokens) / BLOCK)
        self._check_length(len(tokens), total)
        if total == len(tokens):
            return text[:-1]
        device = self.bias.device
        # A generator per kind of device, as the reference's: on a GPU its own stream decides (prompt.md §9).
        rng = torch.Generator(device).manual_seed(seed % SEEDS)
        given = torch.tensor([tokens], device=device)
        added = torch.cat(list(self._draws(given, total - len(tokens), rng)))
        return safe_str(_tidied(self.tokenizer.decode(tokens + added.tolist(), skip_special_tokens=True)))

    def _check_length(self, given: int, total: int) -> None:
        context = self.model.config.n_positions
        if total > context:
            most = context // BLOCK * BLOCK
            reason = f"the prompt is too long for style 'Fooocus V2': {given} GPT-2 tokens; at most {most} are allowed"
            raise InvalidRequest([Problem("prompt_too_long", ("body", "prompt"), reason)])

    def _draws(self, given: Tensor, count: int, rng: torch.Generator) -> Iterator[Tensor]:
        """``count`` tokens ``[1]`` that follow ``given [1, n]``, one model call each; nothing waits for the device."""
        bias = self.bias.index_fill(0, given[0], FORBIDDEN)
        tokens, cache = given, None
        for _ in range(count):
            bias[self.comma] = 0.0
            output = self.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            token = _draw(output.logits[0, -1] + bias, rng)
            yield token
            bias.index_fill_(0, token, FORBIDDEN)  # a word comes once
            tokens, cache = token[None], output.past_key_values


def _draw(scores: Tensor, rng: torch.Generator) -> Tensor:
    """One of the 100 best tokens by its share of the softmax, ``[1]``; ties with the last of them take part."""
    least = scores.topk(min(TOP_K, len(scores))).values[-1]
    kept = scores.masked_fill(scores < least, -math.inf)
    return torch.multinomial(torch.softmax(kept, dim=-1), 1, generator=rng)


def _word_bias(vocabulary: dict[str, int], words: Iterable[str], size: int) -> Tensor:
    """``FORBIDDEN`` but for the tokens that are a blank and a whole word of the list, which get 0."""
    allowed = {"Ġ" + word.lower() for word in words if word}  # Ġ is how GPT-2's vocabulary writes a leading blank
    bias = torch.full((size,), FORBIDDEN)
    bias[[token for entry, token in vocabulary.items() if entry in allowed]] = 0.0
    return bias


def _tidied(text: str) -> str:
    for spaced, closed in _TIDY:
        text = text.replace(spaced, closed)
    return text


def _load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), folder / WEIGHTS[-1])
    tensors = {key: tensor for key, tensor in read_weights(path).items() if not key.endswith(OLD_BUFFERS)}
    if EMBEDDING in tensors:
        tensors[OUTPUT] = tensors[EMBEDDING]  # one matrix under two names, which some files write once
    with torch.device("meta"):
        # Eager attention as in the reference: the fused one rounds otherwise and may tip a draw.
        model = AutoModelForCausalLM.from_config(_read_config(folder), attn_implementation="eager")
    assign(model, tensors, file=path.name, part="prompt expander", convert=lambda _, tensor: tensor.to(device, dtype))
    model.tie_weights()
    return model


def _read_config(folder: Path) -> Any:
    try:
        return GPT2Config(**json.loads(_read_text(folder, CONFIG)))
    except (TypeError, ValueError) as error:
        raise BadModelFile(f"{CONFIG} of the prompt expander is not the description of a GPT-2 model") from error


def _read_vocabulary(folder: Path) -> dict[str, int]:
    try:
        vocabulary = json.loads(_read_text(folder, VOCABULARY))
    except ValueError as error:
        raise BadModelFile(f"{VOCABULARY} of the prompt expander is not JSON") from error
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise BadModelFile(f"{VOCABULARY} of the prompt expander holds no tokens")
    return vocabulary


def _load_tokenizer(folder: Path) -> Any:
    _read_text(folder, MERGES)
    try:
        return GPT2Tokenizer(vocab=str(folder / VOCABULARY), merges=str(folder / MERGES))
    except Exception as error:  # the Rust side raises bare Exception on any damage
        raise BadModelFile(f"{VOCABULARY} and {MERGES} of the prompt expander are no GPT-2 tokenizer") from error


def _read_text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelUnavailable(f"file {name!r} of the prompt expander is not installed") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadModelFile(f"file {name!r} of the prompt expander is not readable text") from error
