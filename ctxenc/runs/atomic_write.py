"""How the files of a run folder are written: whole or not at all, by one process, never torn."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ctxenc.parallel.processes import is_main


@contextlib.contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` at the end of the ``with`` block.

    Raises:
        OSError: naming `file`, which is then as it was before.
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


def _opened(file: Path, how: int) -> int:
    """A descriptor of the file; a link in a stranger's run folder could lead to any other."""
    return os.open(file, how | getattr(os, "O_NOFOLLOW", 0), 0o666)


def write_text(file: Path, text: str) -> None:
    """Write a whole file, or none of it. Only the process that writes does (`is_main`)."""
    if not is_main():
        return
    with whole(file) as temporary, temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def overwrite_text(file: Path, text: str) -> None:
    """Write over a file in place, which a full disk allows where the text is no longer.

    A process that is killed meanwhile leaves neither the old text nor the new one, so this is for
    where `write_text` has failed.
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
