"""The option for catalogues in other formats."""

from __future__ import annotations

import argparse

from ohana.cli.common import Parser


def add_catalogues(options: Parser, what: str) -> None:
    """Add the option for catalogues in other formats."""
    options.add_argument(
        "--catalogues",
        type=formats,
        default=[],
        metavar="FORMATS",
        help=f"{what}, in some of the formats ecsv,parquet,regions",
    )


def formats(text: str) -> list[str]:
    """Read names of formats from the command line."""
    from ohana.catalogues.formats import wanted_formats

    try:
        return wanted_formats(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
