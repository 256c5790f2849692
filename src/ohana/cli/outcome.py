"""The outcome of a run on the terminal: the exposure, its classes and its files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group

    from ohana.results.summary import Summary


def show_summary(summary: Summary) -> None:
    """Print the outcome: with a table on a terminal, plain aligned lines otherwise."""
    if not sys.stdout.isatty():
        print(summary, flush=True)
        return
    from rich.console import Console

    Console(highlight=False).print(outcome(summary), crop=False)


def outcome(summary: Summary) -> Group:
    """Lay the outcome of a run out for a terminal."""
    from rich import box
    from rich.console import Group
    from rich.padding import Padding
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    from ohana.classes import CLASSES
    from ohana.results.summary import class_rows

    (first, *headings), *rows = class_rows(summary.classes)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right")
    for item, (name, *numbers) in zip(summary.classes, rows, strict=True):
        # Most terminals are dark.
        style = Style(color=CLASSES[item.label.key].dark, bold=True)
        table.add_row(Text(name, style), *numbers, style="" if item.events else "dim")
    title, *facts = summary.heading()
    return Group(
        Text(title, "bold"),
        *(Text(line, "dim") for line in facts),
        *(
            Padding(Text.assemble(("warning: ", "bold red"), warning), (0, 0, 0, 2))
            for warning in summary.warnings
        ),
        *(
            Padding(Text.assemble(("note: ", "yellow"), notice), (0, 0, 0, 2))
            for notice in summary.notices
        ),
        table,
        # Long paths stay whole, to be copied.
        *(Text(f"  {path}", "cyan", no_wrap=True, overflow="ignore") for path in summary.files),
        Text(f"{summary.seconds:.1f} s", "bold"),
    )
