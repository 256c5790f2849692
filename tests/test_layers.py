"""Rooms and floors: which part of the package may import which.

Every import counts: at the top of a module, within a function, and for type checkers only.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ohana

PACKAGE = Path(ohana.__file__).parent

#: A part imports from its own floor and from those above it in this list, never from below.
LAYERS = (
    ("errors", "classes", "utils"),
    ("config", "ramp", "events"),
    ("config_file", "raw"),
    ("refpix",),
    ("read",),
    ("rampfit",),
    ("correction",),
    ("detect", "results", "simulate"),
    ("network", "products", "report", "export", "training_sets", "preprocess"),
    ("pipeline", "extras", "statistics"),
    ("predictor", "evaluate"),
    ("batch", "training", "arrays"),
    ("jwst", "cli"),
)
FLOOR = {part: floor for floor, parts in enumerate(LAYERS) for part in parts}

#: Parts of one floor that must not know each other.
APART = (("report", "network"), ("results", "detect"), ("batch", "training"))

MODULES_AT_THE_TOP = 14


def modules() -> dict[str, Path]:
    """Return every module of the package by its name without `ohana.`; "" is `__init__`."""
    named = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            if name != "ohana" and not name.startswith("ohana."):
                continue
            inner = name.removeprefix("ohana").removeprefix(".")
            yield inner if inner in known else inner.rpartition(".")[0]


def graph() -> dict[str, set[str]]:
    """Return what each module imports of the package."""
    known = modules()
    return {name: set(imported(path, known)) - {name} for name, path in known.items()}


def part(module: str) -> str:
    return module.partition(".")[0]


def test_every_part_is_on_a_floor():
    parts = {part(name) for name in modules()} - {"", "presets", "__main__"}
    assert parts == set(FLOOR)


def test_no_import_goes_upwards():
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if part(name) in FLOOR and part(other) in FLOOR
        if FLOOR[part(other)] > FLOOR[part(name)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_imports_go_in_a_circle():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_parts_import_each_other():
    between: dict[str, set[str]] = {}
    for name, others in graph().items():
        between.setdefault(part(name), set()).update({part(o) for o in others} - {part(name), ""})
    try:
        TopologicalSorter(between).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(("one", "other"), APART)
def test_parts_that_do_not_know_each_other(one, other):
    wrong = [
        f"{name} imports {target}"
        for name, targets in graph().items()
        for target in targets
        if {part(name), part(target)} == {one, other}
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_but_the_commands_imports_the_commands():
    wrong = [
        name
        for name, others in graph().items()
        if part(name) not in ("cli", "__main__") and "cli" in {part(other) for other in others}
    ]
    assert not wrong


def test_few_modules_lie_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES_AT_THE_TOP


def test_an_import_is_seen_wherever_it_stands(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "import ohana.config\n"
        "if TYPE_CHECKING:\n    from ohana.ramp import Ramp\n"
        "def f():\n    from ohana.cli import predict\n"
    )
    assert set(imported(file, modules())) == {"config", "ramp", "cli.predict"}
