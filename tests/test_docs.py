"""Links, modules and options that the documentation names exist."""

import ast
import re
import runpy
from pathlib import Path

import pytest

from ohana.cli import create_training, evaluate, predict, report, summarize, train

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
SCRIPTS = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.py")]
PARSERS = {
    "ohana-create-training": create_training.parser,
    "ohana-evaluate": evaluate.parser,
    "ohana-predict": predict.parser,
    "ohana-report": report.parser,
    "ohana-summarize": summarize.parser,
    "ohana-train": train.parser,
}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def module_file(dotted: str) -> Path | None:
    """Return the file of a module, or None."""
    path = ROOT / "src" / dotted.replace(".", "/")
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return found[0] if found else None


def names_in(path: Path) -> set[str]:
    """Return the names that a module defines or imports."""
    defined = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Constant) and path.name == "__init__.py":
            defined.add(node.value)  # names that are loaded on first use
    return defined


@each_page
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@each_page
def test_files_of_the_source_exist(page):
    named = re.findall(
        r"`(?:python )?((?:src|tests|docs|benchmarks|configs|examples)/[a-z_0-9/]+\.\w+)\b",
        page.read_text("utf-8"),
    )
    for name in named:
        assert (ROOT / name).is_file(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", [ROOT / "docs" / "algorithms.md"], ids=["algorithms.md"])
def test_headings_name_the_files_of_their_stage(page):
    heads = re.findall(r"^## .*\((.*)\)$", page.read_text("utf-8"), re.M)
    assert len(heads) > 7
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", " ".join(heads)):
        assert (ROOT / "src" / "ohana" / name).exists(), name


@each_page
def test_names_in_python_examples_exist(page):
    for module, names in re.findall(
        r"^from (ohana[\w.]*) import ([\w, ]+)$", page.read_text("utf-8"), re.M
    ):
        file = module_file(module)
        assert file, f"{page.name}: {module}"
        missing = set(names.replace(" ", "").split(",")) - names_in(file)
        assert not missing, f"{page.name}: {module} has no {missing}"


@each_page
def test_options_of_commands_exist(page):
    text = page.read_text("utf-8").replace("\\\n", " ")
    for command, rest in re.findall(r"^\s*\$? *(ohana-[a-z-]+) ([^#\n]*)", text, re.M):
        known = PARSERS[command]().format_help()
        for option in re.findall(r"--[a-z_-]+", rest):
            assert option in known, f"{page.name}: {command} {option}"


@each_script
def test_scripts_import_what_exists(script):
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ohana"):
            file = module_file(node.module)
            assert file, f"{script.name}: {node.module}"
            for alias in node.names:
                known = alias.name in names_in(file) or module_file(f"{node.module}.{alias.name}")
                assert known, f"{script.name}: {node.module} has no {alias.name}"


def test_measured_sections_leave_the_rest_of_a_page(tmp_path):
    write_section = runpy.run_path(str(ROOT / "benchmarks" / "pages.py"))["write_section"]
    page = tmp_path / "page.md"
    page.write_text("Above\n<!-- speed: begin -->\nold\n<!-- speed: end -->\n## Below\n")
    write_section(page, "speed", "new")
    expected = "Above\n<!-- speed: begin -->\n\nnew\n\n<!-- speed: end -->\n## Below\n"
    assert page.read_text() == expected
    write_section(page, "speed", "new")
    assert page.read_text() == expected
    with pytest.raises(ValueError, match="wanted the marks <!-- scores: begin --> and"):
        write_section(page, "scores", "new")


@pytest.mark.parametrize(
    ("page", "section"),
    [("evaluation.md", "comparison"), ("network.md", "scores"), ("real_world.md", "real_world")],
)
def test_pages_with_measured_sections_have_their_marks(page, section):
    text = (ROOT / "docs" / page).read_text("utf-8")
    assert text.count(f"<!-- {section}: begin -->") == text.count(f"<!-- {section}: end -->") == 1
