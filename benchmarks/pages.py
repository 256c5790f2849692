"""Write the measured section of a page of docs/; the text around it is written by hand."""

from __future__ import annotations

from pathlib import Path


def write_section(path: Path, name: str, text: str) -> None:
    """Replace the section of a page between the marks of ``name``; a new page is that section."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text("utf-8") if path.exists() else f"{begin}{end}\n"
    if begin not in page or end not in page:
        raise ValueError(f"{path}: wanted the marks {begin} and {end}")
    before, after = page.partition(begin)[0], page.partition(end)[2]
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", "utf-8")
