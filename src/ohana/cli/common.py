"""Common parts of the commands: spelling of options, messages, exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

from ohana import __version__
from ohana.cli.progress import console
from ohana.errors import OhanaError, one_line_message
from ohana.utils.log_file import FILE_ONLY

log = logging.getLogger("ohana")
#: Exit codes; argparse itself ends with 2 for wrong usage.
OK, FAILED, INTERRUPTED = 0, 1, 130


class Parser(argparse.ArgumentParser):
    """Argument parser that takes `--some_option` and `--some-option` for the same."""

    def __init__(self, **settings) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def add_common(self) -> None:
        """Add the options that every command has."""
        group = self.add_argument_group("messages")
        group.add_argument(
            "--quiet", action="store_true", help="say nothing but warnings and errors"
        )
        group.add_argument(
            "--verbose", action="store_true", help="say more: every stage with its time"
        )
        group.add_argument("--debug", action="store_true", help="show the traceback of an error")
        group.add_argument("--version", action="version", version=f"%(prog)s {__version__}")

    def parse_known_args(self, args=None, namespace=None):
        """Parse after each option is spelled as it was declared."""
        args = sys.argv[1:] if args is None else args
        declared = {name.replace("_", "-"): name for name in self._option_string_actions}
        spelled = []
        for arg in args:
            name, equals, value = arg.partition("=")
            spelled.append(declared.get(name.replace("_", "-"), name) + equals + value)
        return super().parse_known_args(spelled, namespace)


def run(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command; turn any failure into one line and an exit code."""
    with messages(arguments):
        try:
            return command(arguments)
        except KeyboardInterrupt:
            log.error("interrupted")
            return INTERRUPTED
        except BrokenPipeError:
            # The reader of the output, such as `head`, has ended; closing it must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except Exception as error:
            report_error(error, arguments.debug)
            return FAILED


def report_error(error: Exception, debug: bool, about: str = "") -> None:
    """Log an error in one line (one for each mistake of a settings file).

    ``about`` names what it happened to, where the error itself may not.
    """
    about = f"{about}: " if about else ""
    where = "".join(traceback.format_exception(error)).rstrip()
    log.log(logging.ERROR if debug else FILE_ONLY, where)
    if isinstance(error, OhanaError):
        for line in str(error).splitlines():
            log.error(about + line)
    else:
        hint = "" if debug or isinstance(error, MemoryError) else " (--debug shows where)"
        log.error(about + one_line_message(error) + hint)


@contextmanager
def messages(arguments: argparse.Namespace) -> Iterator[None]:
    """Send messages to standard error: coloured on a terminal, plain lines otherwise.

    With ``--quiet`` only warnings and errors are shown, and nothing on standard output.
    """
    if sys.stderr.isatty():
        from rich.logging import RichHandler

        handler: logging.Handler = RichHandler(
            console=console(), show_time=False, show_path=False, highlighter=None
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Plain())
    before = log.handlers[:], log.level, log.propagate
    log.handlers[:], log.propagate = [handler], False
    log.setLevel(_level(arguments))
    handler.setLevel(log.level)  # a log file wants more
    try:
        with (
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere if arguments.quiet else sys.stdout),
        ):
            yield
    finally:
        log.handlers[:], log.propagate = before[0], before[2]
        log.setLevel(before[1])


def _level(arguments: argparse.Namespace) -> int:
    if arguments.quiet:
        return logging.WARNING
    return logging.DEBUG if arguments.verbose or arguments.debug else logging.INFO


class _Plain(logging.Formatter):
    """`message`, `warning: message` or `error: message`."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        if record.levelno < logging.WARNING:
            return message
        return f"{record.levelname.lower()}: {message}"


def positive(text: str) -> int:
    """Read a number of at least 1 from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, got {text!r}")
    return int(text)


def whole(text: str) -> int:
    """Read a number of at least 0 from the command line."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 0, got {text!r}")
    return int(text)


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
    from ohana.export.formats import wanted_formats

    try:
        return wanted_formats(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
