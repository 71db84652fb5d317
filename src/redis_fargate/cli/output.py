"""What a command prints: tables and lines, or JSON; progress goes to stderr.

On a terminal there are colours (unless ``NO_COLOR`` is set) and lines around tables; everywhere
else it is plain aligned text.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import typer

from redis_fargate.cli.exitcodes import ExitCode

Row = Sequence[str]
_WIDEST = 1000


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; ``rights`` are the numbers of the columns that are flush right."""

    headers: Row
    rows: Sequence[Row]
    rights: frozenset[int] = frozenset()

    def plain(self) -> str:
        """Align the columns with spaces."""
        everything = [self.headers, *self.rows]
        widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if number in self.rights else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in everything
        )


def print_json(document: object, *, one_line: bool = False) -> None:
    """Print a document on stdout."""
    _write(json.dumps(document, indent=None if one_line else 2))


def print_line(text: str = "", *, style: str = "") -> None:
    """Print a line on stdout; ``style`` is Rich's, and shown on a terminal only."""
    if style and sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - slow, and needed on a terminal only

        Console(highlight=False, soft_wrap=True).print(text, style=style, markup=False)
    else:
        _write(text)


def print_table(table: Table) -> None:
    """Print a table on stdout."""
    if not sys.stdout.isatty():
        _write(table.plain())
        return
    from rich import box  # noqa: PLC0415 - slow, and needed on a terminal only
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, header in enumerate(table.headers):
        drawn.add_column(
            header, justify="right" if number in table.rights else "left", no_wrap=True
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    console = Console()
    # A narrow terminal breaks lines by itself; cells that are cut short could not be copied.
    needed = console.measure(drawn, options=console.options.update(width=_WIDEST)).maximum
    console.width = max(console.width, needed)
    console.print(drawn)


Progress = Callable[[str], None]
"""Takes the sentence that says what is being done now; it replaces what was said before."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Tell on stderr what is being done: in place on a terminal, else line by line."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _Lines(sys.stderr)
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and needed on a terminal only
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(Text(text))


class _Lines:
    """Progress where nothing can be taken back: a line each time that it changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said = ""

    def __call__(self, text: str) -> None:
        if text != self._said:
            self._said = text
            try:
                self._stream.write(f"{text}\n")
                self._stream.flush()
            except OSError:
                # Nobody hears it any more, which is no reason to stop what is being done.
                _silence(self._stream)


def _write(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        raise typer.Exit(ExitCode.PIPE_CLOSED) from None
    except OSError:
        _silence(sys.stdout)
        raise


def _silence(stream: TextIO) -> None:
    """Let Python's last flush, at its end, succeed: it would complain."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
