"""The layers of the package hold, and each third-party library stays in its place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import analogep

ROOT = Path(analogep.__file__).parent

# From the bottom up; a module imports from lower layers and from its own package.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "version"),
    ("kinds", "memory", "files"),
    ("constants",),
    ("devices",),
    ("circuit",),
    ("networks",),
    ("nonideal",),
    ("solve",),
    ("spice", "learning"),
    ("training",),
    ("sweep", "report"),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

FULL = 15
"""Files of one folder at most."""

# Library: the places that may import it.
PLACES = {
    "networkx": ("circuit.graph", "circuit.circuit"),
    "PySpice": ("spice.engines.pyspice",),
    "matplotlib": ("report",),
    "typer": ("cli",),
    "rich": ("cli",),
    "sklearn": ("training.data",),
    "pooch": ("training.data",),
    "dask": ("sweep",),
    "numba": ("solve.compiled", "learning.fused.kernels.intrinsics"),
}


class _Imports(ast.NodeVisitor):
    """Collects every import: at module level, inside functions, and those for types alone."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.found: list[tuple[str, int]] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, node.lineno) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parents = self.package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
        # "from analogep import learning" imports the module analogep.learning.
        self.found += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            self.found.append((str(node.args[0].value), node.lineno))
        self.generic_visit(node)


def imports_of(source: str, module: str, *, is_package: bool) -> list[tuple[str, int]]:
    """Return (imported dotted name, line) of every import in ``source``."""
    visitor = _Imports(module if is_package else module.rpartition(".")[0])
    visitor.visit(ast.parse(source))
    return visitor.found


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(p for p in parts if p != "__init__")
        if name:  # the top-level __init__ only forwards names
            yield name, path


def runtime_imports(name: str, path: Path) -> list[tuple[str, int]]:
    return imports_of(path.read_text(), f"analogep.{name}", is_package=path.name == "__init__.py")


def layer_faults(name: str, imported: list[tuple[str, int]]) -> list[str]:
    faults = []
    own = name.split(".")[0]
    for target, line in imported:
        parts = target.split(".")
        if parts[0] != "analogep" or len(parts) < 2 or parts[1] == own:
            continue
        other = parts[1]
        if other not in LEVEL:
            faults.append(
                f"analogep/{name}:{line} imports {target} through the top-level package; "
                "import from the module that defines it"
            )
        elif LEVEL[other] > LEVEL[own]:
            faults.append(f"analogep.{name}:{line} imports {target}, which is above it")
        elif LEVEL[other] == LEVEL[own]:
            faults.append(f"analogep.{name}:{line} imports {target}, which is beside it")
    return faults


def test_every_module_has_a_layer() -> None:
    unplaced = sorted({name.split(".")[0] for name, _ in modules()} - set(LEVEL))
    assert not unplaced, f"give these modules a place in LAYERS: {unplaced}"


def test_imports_point_down_only() -> None:
    faults = [fault for name, path in modules() for fault in layer_faults(name, runtime_imports(name, path))]
    assert not faults, "\n".join(faults)


def imported_files() -> dict[str, set[str]]:
    """Return which files of the package each file of it imports."""
    files = {f"analogep.{name}" for name, _ in modules()}
    out: dict[str, set[str]] = {}
    for name, path in modules():
        found = (target for target, _ in runtime_imports(name, path))
        named = {t if t in files else t.rpartition(".")[0] for t in found}
        out[f"analogep.{name}"] = (named & files) - {f"analogep.{name}"}
    return out


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Return every group of files that import each other in a circle."""
    graph = nx.DiGraph((a, b) for a, targets in imports.items() for b in targets)
    return [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not circles(imported_files())


def test_the_search_for_circles_finds_one() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_folder_is_too_full() -> None:
    full = {str(folder.relative_to(ROOT)): count for folder in ROOT.rglob("*") if folder.is_dir()
            and (count := len(list(folder.glob("*.py")))) > FULL}  # fmt: skip
    assert not full, f"split by subject: {full}"


@pytest.mark.parametrize("library", PLACES)
def test_a_library_is_imported_in_one_place(library: str) -> None:
    places = PLACES[library]
    faults = [
        f"analogep.{name}:{line} imports {target}; only {', '.join(places)} may"
        for name, path in modules()
        for target, line in runtime_imports(name, path)
        if target.split(".")[0] == library and not f"{name}.".startswith(tuple(_prefixes(places)))
    ]
    assert not faults, "\n".join(faults)


def _prefixes(places: tuple[str, ...]) -> Iterator[str]:
    for place in places:
        # "training.data" stands for training/data.py, training/data_sets.py and training/data/...
        yield place if "." in place else f"{place}."


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("solve.newton", "from analogep.learning import audit", "above"),
        ("solve.newton", "def f():\n    import analogep.training", "above"),
        ("solve.newton", "from analogep import training", "above"),
        ("solve.newton", "from ..training import train", "above"),
        ("solve.newton", "import importlib\nimportlib.import_module('analogep.cli')", "above"),
        ("devices.diode", "from analogep.circuit import Circuit", "above"),
        ("spice.reader", "from analogep.learning import audit", "beside"),
        ("learning.rules", "from analogep.spice import to_netlist", "beside"),
        ("solve.newton", "from analogep import Circuit", "top-level"),
        (
            "circuit",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from analogep.solve import x",
            "above",
        ),
    ],
)
def test_the_walk_sees_an_import_that_points_up(module: str, source: str, fault: str) -> None:
    (found,) = layer_faults(module, imports_of(source, f"analogep.{module}", is_package=False))
    assert fault in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("solve.newton", "from analogep.circuit import Circuit\nfrom .linear import x\nimport numpy"),
        ("circuit.circuit", "def f():\n    from analogep.circuit.graph import parts_of_graph"),
        ("training.loop", "from analogep.spice import x\nfrom analogep.learning import y"),
    ],
)
def test_the_walk_lets_imports_that_point_down_pass(module: str, source: str) -> None:
    assert not layer_faults(module, imports_of(source, f"analogep.{module}", is_package=False))


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = ["numpy", "scipy", "numba", "networkx", "matplotlib", "sklearn", "pydantic", "typer", "PySpice"]
    code = f"import sys, analogep; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_building_a_circuit_loads_neither_scipy_nor_a_plotting_library() -> None:
    heavy = ["scipy", "numba", "matplotlib", "sklearn", "networkx", "PySpice"]
    code = f"import sys, analogep; analogep.Circuit; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["Circuit", "devices", "errors", "operating_point", "Solution", "solve"])
def test_public_names_load_on_first_use(name: str) -> None:
    assert getattr(analogep, name) is not None
    assert name in dir(analogep)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        analogep.nonsense  # noqa: B018 (the access is the test)
