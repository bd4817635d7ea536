"""Catalogue: the known model files as data, and what lies on disk: in the user's models folder and in the shipped one.

Takes two roots with the same sub-folders (models.md §1). Gives names and paths. Opens no weight file, downloads
nothing, and loads no torch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any

from fooocus_engine.errors import ModelUnavailable, shortened
from fooocus_engine.models.companion import native_side
from fooocus_engine.models.features import bake_of

CHECKPOINTS = "checkpoints"
LORAS = "loras"
EMBEDDINGS = "embeddings"
VAES = "vae"
VAE_APPROX = "vae_approx"
UPSCALERS = "upscale_models"
INPAINT = "inpaint"
CONTROLNET = "controlnet"
CLIP_VISION = "clip_vision"
EXPANSION = "prompt_expansion/fooocus_expansion"
CLIP_TOKENIZER = "clip_tokenizer"
"""``vocab.json`` and ``merges.txt`` for checkpoints whose companion folder holds no ``tokenizer/``."""
BERT_TOKENIZER = "bert_tokenizer"
"""``vocab.txt`` of the networks that describe and detect."""
SAFETY_CHECKER = "safety_checker"
SAM = "sam"
KINDS = (
    CHECKPOINTS, LORAS, EMBEDDINGS, VAES, VAE_APPROX, UPSCALERS, INPAINT, CONTROLNET, CLIP_VISION,
    EXPANSION, CLIP_TOKENIZER, BERT_TOKENIZER, SAFETY_CHECKER, SAM,
)  # fmt: skip
EMBEDDING_SUFFIXES = ("", ".safetensors", ".pt", ".bin")  # tried in this order (prompt.md §13)
LISTED_SUFFIXES = (".pth", ".ckpt", ".bin", ".safetensors")  # models.md §8

INPAINT_HEAD = "fooocus_inpaint_head.pth"
INPAINT_PATCHES: Mapping[str, str] = MappingProxyType(
    {
        "v1": "inpaint.fooocus.patch",
        "v2.5": "inpaint_v25.fooocus.patch",
        "v2.6": "inpaint_v26.fooocus.patch",
    }
)
"""Inpaint engine → file (image-inpaint.md §6)."""

CANNY_LORA = "control-lora-canny-rank128.safetensors"
CPDS_LORA = "fooocus_xl_cpds_128.safetensors"
VISION_TOWER = "clip_vision_vit_h.safetensors"
PROMPT_NEGATIVE = "fooocus_ip_negative.safetensors"
PROMPT_ADAPTER = "ip-adapter-plus_sdxl_vit-h.bin"
FACE_ADAPTER = "ip-adapter-plus-face_sdxl_vit-h.bin"
FACE_DETECTOR = "detection_Resnet50_Final.pth"
"""Of pictures that steer besides the words (image-control.md)."""

NAME_LENGTH = 255  # characters; file systems take no longer ones

DATA = Path(__file__).with_name("catalogue.json")
EMBEDDED = Path(__file__).with_name("embedded")


@dataclass(frozen=True)
class KnownFile:
    """A published file: where it belongs, where it comes from, how it is verified."""

    kind: str
    name: str
    source: str
    needed_by: tuple[str, ...]
    sha256: str | None = None
    md5: str | None = None
    licence: str | None = None
    """As its publisher states it; ``None`` where that is not known."""


@dataclass(frozen=True)
class InstalledFile:
    """A file that lies in a models folder."""

    kind: str
    name: str
    bytes: int
    shipped: bool
    """In the folder that comes with the package, not in the user's."""


@dataclass(frozen=True)
class DefaultCheckpoint:
    """The checkpoint that a preset's default comes down to here."""

    name: str
    shipped: bool
    """The shipped model stands in because the user has no checkpoint at all; the reply warns."""


@dataclass(frozen=True)
class Catalogue:
    """What is known and what is installed. Looks at the disk at every question, so new files are found at once."""

    models_dir: Path
    embedded_dir: Path = EMBEDDED
    more_dirs: tuple[Path, ...] = ()
    """Further folders of the same form. Of two files with one name, that of the earlier folder counts."""
    repositories: tuple[Path, ...] = ()
    """Folders of another form, as a published model's: what lies at their top are checkpoints."""

    def names(self, kind: str, *, embedded: bool = False) -> list[str]:
        """Installed files of ``kind`` relative to its folder, in the order of models.md §8, each once.

        Shipped checkpoints are always listed, last. Shipped files of other kinds fit shipped checkpoints alone: with
        ``embedded`` they come first, without they are left out.
        """
        return list(dict.fromkeys([*self._own(kind, embedded), *(self._shipped() if kind == CHECKPOINTS else ())]))

    def installed(self, kind: str) -> list[InstalledFile]:
        """Every file of ``kind``, the user's first, each name once, then the shipped ones; those with a known file's
        suffix too.
        """
        suffixes = {*LISTED_SUFFIXES, *(PurePosixPath(row.name).suffix for row in known_files() if row.kind == kind)}
        own: dict[str, Path] = {}
        for name, path in self._own_files(kind, self._roots(kind, embedded=False), suffixes):
            own.setdefault(name, path)
        shipped = _files_of(self.embedded_dir / kind, suffixes)
        return [
            *(InstalledFile(kind, name, path.stat().st_size, shipped=False) for name, path in own.items()),
            *(InstalledFile(kind, name, path.stat().st_size, shipped=True) for name, path in shipped),
        ]

    def find(self, kind: str, name: str, *, embedded: bool = False) -> Path:
        """The installed file ``name`` of ``kind``; a folder's own file wins over a shipped checkpoint of that name.

        ``embedded`` says that the file is for a shipped base checkpoint: then its shipped companion is preferred.

        Raises:
            ModelUnavailable: there is none, or ``name`` leads out of the folder.
        """
        path = self._path(kind, name, embedded)
        if path is None:
            raise not_installed(kind, name)
        return path

    def has(self, kind: str, name: str, *, embedded: bool = False) -> bool:
        """Whether ``find`` would find it."""
        return self._path(kind, name, embedded) is not None

    def files(self, kind: str) -> Iterator[Path]:
        """Where the files of ``names`` lie."""
        return (self.find(kind, name) for name in self.names(kind))

    def full_name(self, kind: str, name: str, *, embedded: bool = False) -> str:
        """``name``, or the first installed file that is called so without its suffix, as pictures record it."""
        if self.has(kind, name, embedded=embedded):
            return name
        names = self.names(kind, embedded=embedded)
        return next((other for other in names if PurePosixPath(other).stem == name), name)

    def folder(self, kind: str, *, embedded: bool = False) -> Path:
        """The first folder of ``kind`` that is there, the shipped one before others for a shipped base checkpoint."""
        folders = (root / kind for root in self._roots(kind, embedded))
        return next((folder for folder in folders if folder.is_dir()), self.models_dir / kind)

    def is_embedded(self, checkpoint: str) -> bool:
        """Whether the checkpoint of that name is a shipped one, whose companions are the shipped files."""
        path = self._path(CHECKPOINTS, checkpoint, False)
        return path is not None and path.is_relative_to(self.embedded_dir)

    def native_side(self, checkpoint: str) -> int:
        """Side of the square pictures, in pixels, that an installed checkpoint is at home with.

        Raises:
            ModelUnavailable: there is no such checkpoint.
            BadModelFile: its companion tells no sensible one.
        """
        return native_side(self.find(CHECKPOINTS, checkpoint))

    def find_embedding(self, name: str, *, embedded: bool = False) -> Path | None:
        """The textual-inversion file that a prompt calls ``name``, its suffix left out or not, in any sub-folder.

        ``None`` where there is none, or where ``name`` leads out of the folder.
        """
        if not is_plain_name(name):
            return None
        for root in self._roots(EMBEDDINGS, embedded):
            for suffix in EMBEDDING_SUFFIXES:
                wanted = root / EMBEDDINGS / f"{name}{suffix}"
                inside = sorted((root / EMBEDDINGS).glob(f"**/{escape(name)}{suffix}"))
                if found := next((path for path in (wanted, *inside) if path.is_file()), None):
                    return found
        return None

    def default_checkpoint(self, name: str, previous: Sequence[str]) -> DefaultCheckpoint:
        """What stands for ``name``, a preset's default: itself, one of its ``previous`` names, or the shipped model.

        The shipped model stands in only where the user has no checkpoint at all (models.md §3).

        Raises:
            ModelUnavailable: other checkpoints are installed, but none of these.
        """
        for candidate in (name, *previous):
            if self.has(CHECKPOINTS, candidate):
                return DefaultCheckpoint(candidate, shipped=False)
        shipped = self._shipped()
        if self._own(CHECKPOINTS) or not shipped:
            raise ModelUnavailable(f"the default checkpoint {name!r} is not installed", hint="name an installed one")
        return DefaultCheckpoint(shipped[0], shipped=True)

    def _path(self, kind: str, name: str, embedded: bool) -> Path | None:
        if not is_plain_name(name):
            return None
        at_top = self.repositories if kind == CHECKPOINTS and "/" not in name else ()
        own = [*(root / kind / name for root in self._roots(kind, embedded)), *(root / name for root in at_top)]
        if kind == CHECKPOINTS:
            own.append(self.embedded_dir / kind / name)
        return next((path for path in own if path.is_file()), None)

    def _own(self, kind: str, embedded: bool = False) -> list[str]:
        """Names in the folders that serve ``kind``, and in the repositories."""
        return [name for name, _ in self._own_files(kind, self._roots(kind, embedded), LISTED_SUFFIXES)]

    def _own_files(self, kind: str, roots: Iterable[Path], suffixes: Collection[str]) -> Iterator[tuple[str, Path]]:
        """Name and place of each file of ``kind`` below ``roots``, then in the repositories; a name may come again."""
        for root in roots:
            yield from _files_of(root / kind, suffixes)
        if kind == CHECKPOINTS:
            for root in self.repositories:
                yield from ((name, path) for name, path in _files_of(root, suffixes) if "/" not in name)

    def _shipped(self) -> list[str]:
        return [name for name, _ in _files_of(self.embedded_dir / CHECKPOINTS, LISTED_SUFFIXES)]

    def _roots(self, kind: str, embedded: bool) -> tuple[Path, ...]:
        """Where ``kind`` is looked for, shipped checkpoints apart: they come after all others."""
        own = (self.models_dir, *self.more_dirs)
        return (self.embedded_dir, *own) if embedded and kind != CHECKPOINTS else own


def known_files() -> tuple[KnownFile, ...]:
    """Every published file that some request needs."""
    return tuple(KnownFile(**{**row, "needed_by": tuple(row["needed_by"])}) for row in _data()["files"])


def not_installed(kind: str, name: str) -> ModelUnavailable:
    """What is raised for a missing file: names it, the folder it was looked for in, and what bakes it if known."""
    known = next((row for row in known_files() if (row.kind, row.name) == (kind, name)), None)
    baked_with = bake_of(known.needed_by) if known else None
    hint = f"put it there, or bake an image with {baked_with}" if baked_with else ""
    return ModelUnavailable(f"model file {shortened(name)!r} is not installed in {kind}", hint=hint)


def is_plain_name(name: str) -> bool:
    """Whether ``name`` stays inside the folder that it is joined to, on any system. Links in there are allowed."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    leads_out = ".." in posix.parts or ".." in windows.parts or posix.is_absolute() or bool(windows.anchor)
    return bool(posix.parts) and len(name) <= NAME_LENGTH and not leads_out and "\x00" not in name


def files_below(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Files with one of ``suffixes``: deeper folders first, names without regard to case inside each (models.md §8).

    A missing folder has no files. Folders that are links are not entered, so the walk stays inside and ends.
    """
    if not folder.is_dir():
        return
    entries = sorted(folder.iterdir(), key=lambda path: (path.name.lower(), path.name))
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path, suffixes)
    yield from (path for path in entries if path.suffix.lower() in suffixes and path.is_file())


def _files_of(folder: Path, suffixes: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Name below ``folder`` and place of each file."""
    return ((path.relative_to(folder).as_posix(), path) for path in files_below(folder, suffixes))


def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    return data
