"""Writing files whole or not at all, and reading files that may be somebody else's.

Of those, a pipe is not waited for, a device or a file of terabytes is not read to its end, and YAML
that would unfold without end, or nests so deep that the parser dies of it, is refused.
"""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ctxenc.errors import UserError
from ctxenc.parallel.processes import is_main

MOST_JSON = 2**26  # bytes
MOST_LINES = 2**30  # bytes of a table or log that grows line by line
MOST_YAML = 2**17  # bytes; a configuration has some 3,000
DEEPEST_YAML = 64  # levels; libyaml's 30,000th ends the process


@contextlib.contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` at the end of the ``with`` block.

    Where that fails, an `OSError` names `file`, which is then as it was before.
    """
    with naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def naming(file: Path) -> Iterator[None]:
    """Have errors of the operating system name the file: a full disk's do not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(file)) from error


def write_text(file: Path, text: str) -> None:
    """Write a whole file, or none of it. Only the process that writes does (`is_main`)."""
    if not is_main():
        return
    with whole(file) as temporary, temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Write a JSON object as `write_text` does."""
    write_text(file, json.dumps(value, indent=2) + "\n")


def overwrite_text(file: Path, text: str) -> None:
    """Write over a file in place, as a full disk allows where the text is no longer than before.

    A process killed meanwhile leaves neither text whole: this is for where `write_text` has failed.
    """
    with naming(file), os.fdopen(_opened(file, os.O_RDWR), "r+", encoding="utf-8") as out:
        out.write(text)
        out.truncate()


def append_line(file: Path, line: str) -> None:
    """Add a whole line to a file, or nothing. Only the process that writes does (`is_main`)."""
    if not is_main():
        return
    data = f"{line}\n".encode()
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with naming(file), os.fdopen(_opened(file, how), "ab", buffering=0) as out:
        before = out.tell()
        try:
            while data:
                data = data[out.write(data) :]
        except OSError:
            out.truncate(before)
            raise


def _opened(file: Path, how: int) -> int:
    """A descriptor of the file; a link in somebody else's run folder could lead anywhere."""
    return os.open(file, how | getattr(os, "O_NOFOLLOW", 0), 0o666)


def read_text(file: Path, at_most: int, *, errors: str = "strict") -> str:
    """The UTF-8 text of a regular file, or of a link to one, that has at most so many bytes.

    Raises:
        UserError: it is no regular file, or a larger one.
        OSError, UnicodeDecodeError: it cannot be read, or is not text; `errors` as `bytes.decode`.
    """
    # Opening a pipe would wait for its other end.
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{file}: expected a regular file")
        content = opened.read(at_most + 1)
    if len(content) > at_most:
        raise UserError(f"{file}: expected at most {at_most} bytes")
    return content.decode("utf-8", errors)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object; a `UserError` where it is missing, damaged or something else."""
    try:
        value = json.loads(read_text(file, MOST_JSON))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; is {file.parent} the right folder?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable as JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: expected a JSON object")
    return value


def read_yaml_text(file: Path) -> str:
    """The text of a YAML file that is safe to load: small, flat, and without aliases.

    Raises:
        ValueError, yaml.YAMLError: it is damaged, too deep, or could unfold without end; or what
            `read_text` raises.
    """
    found, depth = read_text(file, MOST_YAML), 0
    for event in yaml.parse(found, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise ValueError("too deep")
    return found
