"""``python -m ctxenc.app [DIR]``: paint holes, look at masks and follow runs, in a browser."""

import os
import socket
import tempfile
from pathlib import Path

from ctxenc import cli
from ctxenc.errors import UserError

HOST = "127.0.0.1"  # this machine only
EPILOG = """Served to this machine alone, until Ctrl-C; the page fetches nothing from elsewhere.
What is uploaded and filled is kept in a temporary folder, which is removed at the end."""


@cli.program("ctxenc.app")
def main() -> None:
    """Read the command line, print the address, serve until stopped."""
    parser = cli.parser(
        "app",
        description="Paint holes into photos and have trained models fill them, look at masks, "
        "and follow the runs below a folder, in a browser.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("folder", metavar="DIR", nargs="?", default="experiments", help="(default: experiments)")
    add("--port", type=int, default=8765, metavar="N", help="0 for any (default: 8765)")
    data = "the data set whose images the masks hide, as for ctxenc.train (default: photographs)"
    add("--data", nargs="+", default=[], metavar="KEY=VALUE", help=data)
    given = parser.parse_args()
    try:
        from ctxenc.window.server import application, server
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise UserError(f"needs {error.name}: pip install 'ctxenc[app]'") from None
    try:
        listening = socket.create_server((HOST, given.port))
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else error
        raise UserError(f"--port {given.port}: {why}; expected a free port, or 0 for any") from None
    with listening, tempfile.TemporaryDirectory(prefix="ctxenc-") as temporary:
        made = application(given.folder, Path(temporary), given.data)
        print(f"http://{HOST}:{listening.getsockname()[1]}", flush=True)
        server(made).run(sockets=[listening])


if __name__ == "__main__":
    main()
