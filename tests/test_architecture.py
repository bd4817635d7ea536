"""The rules of the house, checked by machine: who imports whom, what is free of torch, sizes, forbidden constructs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fooocus_engine"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ENTRY = ROOT / "handler.py"
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 5
MAX_HANDLER_LINES = 60

BASE = {"errors", "types"}
CAPABILITIES = {"imaging", "prompts", "models", "conditioning", "sampling", "vision", "output", "jobs"}
SHIM_READS = {
    "endpoints": {
        "table", "dialects", "problems", "wire_types", "listing.contract", "generate.contract", "generate.presets",
        "generate.performance", "generate.seeds",
    },
    "models": {"places"},
    "prompts": {"styles"},
    "output": {"encode", "publish", "storage.folder"},
}  # fmt: skip
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "bucket": set(),
    "public_hosts": set(),
    "guarded_http": {"errors", "public_hosts"},
    "settings": {"errors", "bucket"},
    "jobs": {"errors", "public_hosts", "guarded_http"},
    "imaging": BASE,
    "output": {*BASE, "settings", "bucket", "public_hosts"},
    "models": {*BASE, "settings"},
    "prompts": {*BASE, "models"},
    "conditioning": {*BASE, "models"},
    "sampling": {*BASE, "models"},
    "vision": {*BASE, "models"},
    "endpoints": {*BASE, "settings", "bucket", "public_hosts", "guarded_http", *CAPABILITIES},
    "engine": {*BASE, "settings", "public_hosts", *CAPABILITIES, "endpoints"},
    "worker": {"errors", "settings", "public_hosts", "jobs"},
    "shim": {"errors", "settings", "jobs", "public_hosts", "guarded_http", *SHIM_READS, "local_platform"},
    "local_platform": {"errors", "settings", "public_hosts", "jobs"},
    "handler": {"engine", "worker", "settings", "models.catalogue", "models.places", "models.prefetch"},
}
WITH_TORCH = {
    "engine.py",
    "endpoints/runners.py",
    "endpoints/resources.py",
    "endpoints/vision.py",
    "endpoints/describe/run.py",
    "endpoints/enhance/run.py",
    "endpoints/mask/run.py",
    "endpoints/generate/run.py",
    "endpoints/generate/render.py",
    "endpoints/generate/screening.py",
    "endpoints/generate/canvas.py",
    "endpoints/generate/controls.py",
    "endpoints/generate/repainting.py",
    "endpoints/generate/encoders.py",
    "prompts/expansion.py",
}
WITH_SDK = {"worker/sdk.py"}
WITH_BOTO = {"output/storage/boto_client.py", "output/storage/guarded_sender.py"}
CHOOSES_WHEN_ASKED = PACKAGE / "output" / "storage" / "__init__.py"  # may import inside a function
FREE_IN_MODELS = {
    "models/__init__.py", "models/catalogue.py", "models/features.py", "models/places.py", "models/prefetch.py",
    "models/vision_files.py",
}  # fmt: skip
FREE_IN_SAMPLING = {"sampling/__init__.py", "sampling/settings.py"}
TOUCH_THE_ENVIRONMENT = {
    PACKAGE / "settings.py",
    PACKAGE / "vision" / "__init__.py",
}  # the second tells a library to send nothing
OFF_LIMITS = {"os": {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}, "sys": {"path", "argv"}}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def our_imports(path: Path) -> Iterator[str]:
    for module in imported_modules(tree_of(path)):
        if module.startswith("fooocus_engine."):
            yield module.removeprefix("fooocus_engine.")


def is_torch_free(path: Path) -> bool:
    name = name_of(path)
    room = room_of(path)
    if room == "models":
        return name in FREE_IN_MODELS
    if room == "sampling":
        return name in FREE_IN_SAMPLING
    return room not in ("conditioning", "vision") and name not in WITH_TORCH


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_room_imports_only_the_rooms_below_it(path: Path):
    room = room_of(path)
    allowed = ALLOWED.get(room, set()) | {room}
    foreign = [module for module in our_imports(path) if module.split(".")[0] not in allowed]
    assert foreign == []


def test_the_handler_imports_only_the_doors():
    allowed = ALLOWED["handler"]
    modules = list(our_imports(ENTRY))
    assert modules
    assert [m for m in modules if m.split(".")[0] not in allowed and ".".join(m.split(".")[:2]) not in allowed] == []


def test_the_shim_reads_contracts_and_formats_and_no_engine_part():
    modules = {module for path in (PACKAGE / "shim").glob("*.py") for module in our_imports(path)}
    rooms = {(module.split(".")[0], module.partition(".")[2]) for module in modules}
    assert {(room, part) for room, part in rooms if room in SHIM_READS and part not in SHIM_READS[room]} == set()
    inside = [path for path in (PACKAGE / "shim").glob("*.py") if path.name != "__main__.py"]
    assert not [m for path in inside for m in our_imports(path) if m.startswith("local_platform")]


def test_the_shim_loads_nothing_that_is_large():
    large = ("torch", "diffusers", "transformers", "runpod", "boto3", "cv2", "numpy")
    code = "import sys\nimport fooocus_engine.shim.app\n"
    code += f"sys.exit(', '.join(m for m in {large!r} if m in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def large_packages(path: Path) -> frozenset[str]:
    """Those that a torch-free file may load; the SDK loads boto3 itself."""
    if name_of(path) in WITH_SDK:
        return frozenset({"runpod", "boto3"})
    if name_of(path) in WITH_BOTO:
        return frozenset({"boto3"})
    return frozenset({"cv2"} if room_of(path) == "imaging" else ())


@pytest.mark.parametrize("packages", [(), ("cv2",), ("boto3",), ("runpod", "boto3")], ids=str)
def test_torch_free_files_load_no_torch_and_no_sdk_but_the_one_that_joins_it(packages: tuple[str, ...]):
    modules = [
        "fooocus_engine." + name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in SOURCES
        if is_torch_free(path) and path.name != "__main__.py" and large_packages(path) == set(packages)
    ]
    heavy = {"torch", "diffusers", "transformers", "runpod", "boto3", "cv2"} - set(packages)
    assert modules
    code = f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"sys.exit(', '.join(m for m in {heavy!r} if m in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_small(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    for function in functions(path):
        arguments = function.args
        named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        parameters = [name for name in named if name not in ("self", "cls")]
        assert len(parameters) <= MAX_PARAMETERS, f"{function.name}: {parameters}"
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MAX_FUNCTION_LINES, f"{function.name}: {lines} lines"


def test_the_handler_is_short():
    assert len(ENTRY.read_text(encoding="utf-8").splitlines()) <= MAX_HANDLER_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_file_says_what_it_knows(path: Path):
    assert path.name == "__init__.py" or ast.get_docstring(tree_of(path))


def imported_names(tree: ast.AST) -> set[str]:
    imports = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    return {alias.asname or alias.name.split(".")[0] for node in imports for alias in node.names}


def owner(node: ast.expr) -> str:
    """``a`` of ``a.b.c``."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def forbidden(path: Path) -> Iterator[str]:
    tree = tree_of(path)
    imported = imported_names(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Global():
                yield f"{line}: global"
            case ast.ExceptHandler(type=None):
                yield f"{line}: bare except"
            case ast.ExceptHandler(body=[ast.Pass()]):
                yield f"{line}: swallowed exception"
            case ast.Call(func=ast.Name(id="print" | "setattr" as name)):
                yield f"{line}: {name}"
            case ast.Attribute(value=ast.Name(id="os" | "sys" as module), attr=attribute):
                yield from off_limits(path, line, module, [attribute])
            case ast.ImportFrom(module="os" | "sys" as module, names=names):
                yield from off_limits(path, line, module, [alias.name for alias in names])
            case ast.Attribute(ctx=ast.Store() | ast.Del()) if owner(node) in imported:
                yield f"{line}: an attribute of {owner(node)} is replaced"


def off_limits(path: Path, line: int, module: str, names: list[str]) -> Iterator[str]:
    for name in names:
        if name in OFF_LIMITS[module] and (module == "sys" or path not in TOUCH_THE_ENVIRONMENT):
            yield f"{line}: {module}.{name}"


def local_imports(path: Path) -> Iterator[str]:
    for function in functions(path):
        for node in ast.walk(function):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and path != CHOOSES_WHEN_ASKED:
                yield f"{node.lineno}: import inside {function.name}"


def work_at_import(path: Path) -> Iterator[str]:
    for node in tree_of(path).body:
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            yield f"{node.lineno}: a statement runs at import"
        elif isinstance(node, (ast.For, ast.While, ast.With, ast.Try)):
            yield f"{node.lineno}: work at import"


def mutable_state(path: Path) -> Iterator[str]:
    """Mutable class attributes, and module-level containers that a function of the file changes."""
    tree = tree_of(path)
    containers = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in cls.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, containers):
                yield f"{node.lineno}: mutable class attribute"
    names = {
        t.id
        for n in tree.body
        if isinstance(n, ast.Assign) and isinstance(n.value, containers)
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    names |= {
        n.target.id
        for n in tree.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.value, containers) and isinstance(n.target, ast.Name)
    }
    changing = {"append", "extend", "update", "add", "pop", "clear", "insert", "remove", "setdefault", "popitem"}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                name in names and method in changing
            ):
                yield f"{node.lineno}: {name} changes after import"
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]) if name in names:
                yield f"{node.lineno}: {name} changes after import"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_forbidden_is_written(path: Path):
    assert [*forbidden(path), *local_imports(path), *work_at_import(path), *mutable_state(path)] == []


def test_nothing_forbidden_is_written_in_the_handler():
    # Its main imports inside: there the order of imports is the point.
    assert [*forbidden(ENTRY), *work_at_import(ENTRY), *mutable_state(ENTRY)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import os\nHOME = os.environ['HOME']",
        "from os import environ as variables",
        "from os import path, getenv",
        "import sys\nsys.argv.append('x')",
        "import sys\nsys.argv[1:] = []",
        "from sys import argv",
        "import sys\nsys.path.insert(0, '.')",
        "import torch\ntorch.nn.Linear.forward = len",
        "from torch import nn\nnn.x, y = 1, 2",
        "from torch.nn import Linear\nLinear.forward: object = len",
        "import torch\ndel torch.load",
    ],
)
def test_what_is_forbidden_is_noticed(code: str, tmp_path: Path):
    (tmp_path / "x.py").write_text(code, encoding="utf-8")
    assert len(list(forbidden(tmp_path / "x.py"))) == 1


def test_no_room_is_called_by_a_name_without_meaning():
    meaningless = {"utils", "helpers", "common", "misc", "manager", "util", "helper"}
    assert [path for path in SOURCES if path.stem in meaningless or path.parent.name in meaningless] == []
