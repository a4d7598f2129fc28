"""Writing files whole or not at all, and reading files that may be somebody else's.

Of those, a pipe is not waited for, a device or a file of terabytes is not read to its end, and YAML
that would unfold without end, or nests so deep that the parser dies of it, is refused. What JSON
and YAML hold is checked against a schema (`Schema`), so that whoever reads a file has values of the
kinds that it expects, or one line.
"""

import contextlib
import itertools
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import yaml

from ctxenc.errors import UserError
from ctxenc.parallel.processes import is_main
from ctxenc.run_folder import safe_yaml

MOST_JSON = 2**26  # bytes
MOST_LINES = 2**30  # bytes of a table or log that grows line by line
MOST_YAML = 2**17  # bytes; a configuration has some 3,000
MOST = 2**53  # steps, seconds and figures beyond this are no count
MOST_BITS = 1023  # of a whole number: with more it is no float


class Kind(NamedTuple):
    """What a value may be, in words and as a test."""

    expected: str
    holds: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether a value from a file is a number that can stand in a table."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= MOST  # False for NaN


TEXT = Kind("text", lambda value: isinstance(value, str))
NUMBER = Kind("a finite number", is_number)
FLOAT = Kind("a number", lambda v: isinstance(v, int | float) and not isinstance(v, bool))
COUNT = Kind("a whole number", lambda v: is_number(v) and isinstance(v, int) and v >= 0)
ANYTHING = Kind("a value", lambda _: True)
LIST = Kind("a list", lambda value: type(value) is list)
MAPPING = Kind("a mapping", lambda value: type(value) is dict)

# What a file holds: a kind; [schema], a list; or {key: schema}, an object that may have others too,
# with those of all keys that are not named under `OTHERS`. What is missing or null is not known.
OTHERS = "*"
Schema = Kind | list[Any] | dict[str, Any]


@contextlib.contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` at the end of the ``with`` block.

    Where that fails, an `OSError` names `file`, which is then as it was before.
    """
    with naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.parent / f".{secrets.token_hex(8)}"
        try:
            temporary.touch(exist_ok=False)  # for whom the umask says, unlike those of `tempfile`
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from error
        try:
            yield temporary
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
    """A descriptor of a regular file; a link in somebody else's run folder could lead anywhere."""
    how |= os.O_NOFOLLOW | os.O_NONBLOCK
    return _regular(file, os.open(file, how, 0o666))


def _regular(file: Path, descriptor: int) -> int:
    """The descriptor, opened without waiting for a pipe's other end, if it is of a regular file."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise UserError(f"{file}: expected a regular file")


def check_regular(folder: Path) -> None:
    """Refuse a folder that is about to be a library's, where anything in it is no file or folder.

    A library would wait for a pipe or a device for ever; a link to another folder could lead out.

    Raises:
        UserError: names what is neither.
    """
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *names)):
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                mode = path.stat().st_mode
                if not stat.S_ISREG(mode) and (not stat.S_ISDIR(mode) or path.is_symlink()):
                    raise UserError(f"{path}: expected a regular file or a folder")


def read_text(file: Path, at_most: int) -> str:
    """The UTF-8 text of a regular file, or of a link to one, that has at most so many bytes.

    Raises:
        UserError: it is no regular file, or a larger one.
        OSError, UnicodeDecodeError: it cannot be read, or is not text.
    """
    with _reading(file, at_most) as opened:
        content = opened.read(at_most + 1)
    if len(content) > at_most:
        raise UserError(f"{file}: expected at most {at_most} bytes")
    return content.decode("utf-8")


@contextlib.contextmanager
def _reading(file: Path, at_most: int) -> Iterator[BinaryIO]:
    descriptor = _regular(file, os.open(file, os.O_RDONLY | os.O_NONBLOCK))
    with os.fdopen(descriptor, "rb") as opened:
        if os.fstat(descriptor).st_size > at_most:
            raise UserError(f"{file}: expected at most {at_most} bytes")
        yield opened


def read_json(file: Path, schema: Schema) -> Any:
    """What a JSON file holds; a `UserError` where it is missing, damaged or of another schema."""
    return _read(file, "JSON", lambda: json.loads(read_text(file, MOST_JSON)), schema)


def read_yaml(file: Path, schema: Schema) -> Any:
    """What a YAML file holds, as `read_json`; much faster than OmegaConf, which compares wait for.

    But for numbers such as ``1e-3``, which are text here.
    """
    return _read(file, "YAML", lambda: safe_yaml.load(read_text(file, MOST_YAML)), schema)


def read_lines(file: Path, schema: dict[str, Any], last_bytes: int = 0) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, one at a time: of a large one the text is never whole.

    Those torn, damaged or of another schema are left out. With `last_bytes`, those at its end.

    Raises:
        UserError: it is there, and no file that can be read.
    """
    with contextlib.suppress(FileNotFoundError), _reading(file, MOST_LINES) as opened:
        if last_bytes:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - last_bytes))
        while line := opened.readline(MOST_JSON):
            with contextlib.suppress(UserError, ValueError, RecursionError):
                yield checked(json.loads(line.decode("utf-8", "replace")), schema)


def _read(file: Path, form: str, load: Callable[[], Any], schema: Schema) -> Any:
    try:
        value = load()
        return checked(value, schema)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; is {file.parent} the right folder?") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{file}: not readable as {form} ({type(error).__name__})") from None
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(str(file)) else f"{file}: {text}") from None


def checked(value: Any, schema: Schema) -> Any:
    """The value, once it is known to be of a schema, flat enough and with numbers that fit a float.

    Raises:
        UserError: names the key that is of another kind.
        ValueError: it is too deep, or a number too large.
    """
    level, depth = [value], 0
    while level:  # without recursion, which has an end of its own
        if (depth := depth + 1) > safe_yaml.DEEPEST:
            raise ValueError("too deep")
        if any(v.bit_length() > MOST_BITS for v in level if type(v) is int):
            raise ValueError("a number too large")
        mappings = [v for v in level if type(v) is dict]
        for key in itertools.chain.from_iterable(mappings):
            if type(key) is not str:
                raise UserError(f"{key}: expected text for a key")
        below = [*(of.values() for of in mappings), *(v for v in level if type(v) is list)]
        level = list(itertools.chain.from_iterable(below))
    _check(value, schema, "")
    return value


def _check(value: Any, schema: Schema, at: str) -> None:
    if isinstance(schema, Kind):
        if not schema.holds(value):
            words = repr(value)
            got = f"{at}={words if len(words) <= 40 else words[:39] + '…'}: " if at else ""
            raise UserError(f"{got}expected {schema.expected}")
    elif isinstance(schema, list):
        _check(value, LIST, at)
        for number, v in enumerate(value if schema[0] is not ANYTHING else ()):
            _check(v, schema[0], f"{at}: {number}" if at else str(number))
    elif isinstance(schema, dict):
        _check(value, MAPPING, at)
        others = schema.get(OTHERS, ANYTHING)
        for key, v in value.items():
            if v is not None and (of := schema.get(key, others)) is not ANYTHING:
                _check(v, of, f"{at}: {key}" if at else str(key))


def read_yaml_text(file: Path) -> str:
    """The text of a YAML file that is safe to load: small, flat, and without aliases.

    Raises:
        ValueError, yaml.YAMLError: it is damaged, too deep, or could unfold without end; or what
            `read_text` raises.
    """
    found = read_text(file, MOST_YAML)
    for _ in safe_yaml.events(found):
        pass
    return found
