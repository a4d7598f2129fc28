"""How files that may come from a stranger are read: so much of them, and nothing else happens.

A pipe is not waited for, a device or a file of terabytes is not read to its end, and YAML that
would unfold without end, or nests so deep that the parser dies of it, is refused.
"""

import os
import stat
from pathlib import Path

import yaml

from ctxenc.errors import UserError

MOST_JSON = 2**26  # bytes
MOST_LINES = 2**30  # bytes of a table or log that grows line by line
MOST_YAML = 2**17  # bytes; a configuration has some 3,000
DEEPEST_YAML = 64  # levels; libyaml's 30,000th ends the process


def text(file: Path, at_most: int, *, errors: str = "strict") -> str:
    """A text file's content.

    Args:
        file: a regular file, or a link to one.
        at_most: bytes.
        errors: what becomes of bytes that are no UTF-8: see `bytes.decode`.

    Raises:
        UserError: it is no regular file, or a larger one.
        OSError: it is not there, or cannot be read.
        UnicodeDecodeError: it is not text.
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


def yaml_text(file: Path) -> str:
    """The text of a YAML file that is safe to load: small, flat, and without aliases.

    Raises:
        UserError, OSError, UnicodeDecodeError: as `text`.
        ValueError, yaml.YAMLError: it is damaged, too deep, or a few of its lines could unfold
            without end.
    """
    found, depth = text(file, MOST_YAML), 0
    for event in yaml.parse(found, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise ValueError("too deep")
    return found
