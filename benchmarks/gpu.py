r"""All that is to be measured on a GPU, in one visit that needs no network.

    python benchmarks/gpu.py --data-dir DIR          # DIR: CIFAR-10 as TFDS prepares it
    python benchmarks/gpu.py --parts step sweep
    python benchmarks/gpu.py --tiny                  # small sizes: whether it works at all

Writes `gpu.json` and `gpu.md` into --output after every figure, so what was measured before an end
of any kind is there. Its parts (`gpu_parts.py`), each a process of its own:

- tests: those marked `gpu`;
- step: ms a step of three networks at three batch sizes, in float32 with TF32 and without and in
  bfloat16, beside PyTorch eager and compiled, and the share of a large matrix product's rate;
- sweep: K jobs of a sweep as one vmapped step beside one after the other, with `lax`'s convolutions
  and with ours as products;
- run: a whole run beside bare steps (`end_to_end.py`);
- train: `+experiment=cifar10_center` to its end, and its evaluation.

Of the minutes that are left a part gets its share, and what one does not use the later ones have. A
part that is out of time is ended, and so is one that fails; the reason is written down. From an
empty cache XLA compiles a step in half a minute: `--seconds 1800` has time for all, eight minutes
for the steps. Nothing else may use the GPU, not even JAX's reserve of its memory.

Where JAX, Flax, Optax, Orbax and PyTorch are all that is installed, carry the rest as wheels. With
a network, for the Python that the machine has, and on the machine in turn (of a GPU's image in 2026
these were missing; the last two are not to be had as wheels, and are made into some):

    pip download -d wheels --no-deps --python-version 3.12 --only-binary=:all: -c constraints.txt \
        hydra-core omegaconf tensorflow-datasets tensorflow-metadata array_record grain dm-pix \
        dm-tree tensorboardX platformdirs diskcache beartype importlib_resources immutabledict \
        portpicker simple_parsing docstring_parser toml googleapis-common-protos orbax-checkpoint
    pip wheel -w wheels --no-deps -c constraints.txt antlr4-python3-runtime promise
    pip install --no-deps wheels/*.whl --target more
    PYTHONPATH=.:more python benchmarks/gpu.py --data-dir DIR
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 470.0  # of the eight minutes; ending processes takes some
SHARES = {"tests": 1.0, "step": 4.0, "sweep": 1.5, "run": 1.0, "train": 1.5}
Line = dict[str, Any]


def lines(command: Sequence[str], seconds: float) -> Iterator[Line]:
    """The JSON objects that a command prints, a line each, as they come; why it ended, if not well.

    After so many seconds it is ended, with all processes that it has started.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # PyTorch wants some, too
    }
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as child:
        late = threading.Event()

        def end() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

        told: list[str] = []
        reader = threading.Thread(target=lambda: told.extend(child.stderr or ()), daemon=True)
        reader.start()
        timer = threading.Timer(max(seconds, 0.0), end)
        timer.start()
        for line in child.stdout or ():
            with contextlib.suppress(json.JSONDecodeError):
                if isinstance(found := json.loads(line), dict):
                    yield found
        status = child.wait()
        timer.cancel()
        reader.join(5)
    if late.is_set():
        yield {"skipped": f"out of time after {seconds:.0f} s: what is not above was not measured"}
    elif status:
        reason = "".join(told).strip().splitlines()[-1:] or ["nothing on standard error"]
        yield {"failed": f"exit status {status}: {reason[0][:300]}"}


def measure(parts: dict[str, Sequence[str]], output: Path, seconds: float = SECONDS) -> None:
    """Run each part's command within its share of the seconds, and write what they find."""
    deadline, found = time.monotonic() + seconds, dict[str, list[Line]]()
    output.mkdir(parents=True, exist_ok=True)
    left = {name: SHARES[name] for name in parts}
    for name, command in parts.items():
        remaining = deadline - time.monotonic()
        share = remaining * left[name] / sum(left.values())
        del left[name]
        found[name] = []
        for line in lines(command, share):
            found[name].append(line)
            print(f"{name}: {json.dumps(line)}", flush=True)
            write(found, output)
    write(found, output)


def write(found: dict[str, list[Line]], output: Path) -> None:
    """`gpu.json`, and the same as tables in `gpu.md`: one for each part and kind of line."""
    (output / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    text = []
    for part, rows in found.items():
        text += [f"## {part}", ""]
        kinds: dict[tuple[str, ...], list[Line]] = {}
        for row in rows:
            kinds.setdefault(tuple(row), []).append(row)
        for names, alike in kinds.items():
            text += [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
            text += [f"| {' | '.join(str(v) for v in row.values())} |" for row in alike] + [""]
    (output / "gpu.md").write_text("\n".join(text))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--parts", nargs="+", default=list(SHARES), choices=SHARES, metavar="PART")
    parser.add_argument("--data-dir", help="of CIFAR-10, prepared; for the part train")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("experiments", "gpu"))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args(arguments)
    script = [sys.executable, str(Path(__file__).with_name("gpu_parts.py"))]
    options = ["--tiny"] * given.tiny + (["--data-dir", given.data_dir] if given.data_dir else [])
    parts: dict[str, Sequence[str]] = {name: [*script, name, *options] for name in given.parts}
    measure(parts, given.output, given.seconds)


if __name__ == "__main__":
    main()
