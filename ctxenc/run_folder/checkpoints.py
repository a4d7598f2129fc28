"""Orbax behind one small interface: the latest states of a run, and the best.

A checkpoint has items by purpose, so that code that reads one does not depend on the others:
`generator` (its variables and their average) is all that evaluating, filling and exporting read;
`training` (step, optimizers, discriminator) is what resuming needs beside it, and `head` a label
head, where there is one; `sums` are the running sums of logged figures. Each has a checksum of its
bits, since Orbax reads flipped ones without complaint.
"""

import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding
from jaxtyping import Array, PyTree, UInt32
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from ctxenc.errors import UserError
from ctxenc.metrics.registry import MAIN
from ctxenc.parallel.devices import on_devices
from ctxenc.parallel.processes import is_main
from ctxenc.run_folder import files
from ctxenc.state import Logged, NetworkState, TrainState, Variables

log = logging.getLogger(__name__)

ITEMS = ("generator", "training", "head", "sums")
SCORE = "score"  # of a validation, where the best has the highest of another figure than `MAIN`


class Checkpoints:
    """The checkpoints of one run, saved in the background until the end of a ``with`` block.

    A process killed meanwhile leaves the checkpoint before. The latest two are kept, should one be
    damaged, and the one with the best validation. Several processes save together, each
    its own part. Where a checkpoint cannot be written, the next call says so with a `UserError`.
    """

    def __init__(self, folder: Path):
        self._folder, self._failed = folder.absolute(), False
        self._saved: set[int] = set()
        for path in ocp.path.step.checkpoint_steps_paths(self._folder):
            with suppress(OSError):  # only an empty one; Orbax would take it for the latest
                Path(path).rmdir()
        for step in saved_steps(folder):
            _score(folder / str(step))  # Orbax reads them all, and would not name the damaged one
        best = BestN(get_metric_fn=_scored, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy([LatestN(2), best]),
            best_fn=_scored,
            cleanup_tmp_directories=True,  # what a killed process left half written
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options, item_names=ITEMS)

    def __enter__(self) -> "Checkpoints":
        self._hook, sys.unraisablehook = sys.unraisablehook, _without_closed_loops
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._writing():
                self._manager.close()
        except UserError as lost:
            if kind is None:
                raise
            log.error("%s", lost)
        finally:
            if not self._failed:  # else threads have yet to complain
                sys.unraisablehook = self._hook

    def save(
        self,
        step: int,
        state: TrainState,
        sums: Logged | None = None,
        figures: dict[str, float] | None = None,
        best_by: str = MAIN,
    ) -> None:
        """Start saving a state; without `figures` it can be the latest, but never the best.

        The best has the highest `best_by` of the figures.
        """
        if step in self._saved:
            return
        if step in self._manager.all_steps():
            raise UserError(f"{self._folder / str(step)}: already there, saved by another run")
        items = {"generator": _generator_item(state), "training": _training_item(state)}
        if state.head is not None:
            items["head"] = _head_item(state)
        if sums:
            items["sums"] = sums
        if figures and best_by != MAIN:
            figures = {**figures, SCORE: figures[best_by]}
        summed = {n: {"item": item, "checksum": checksum(item)} for n, item in items.items()}
        saves = {name: ocp.args.StandardSave(item) for name, item in summed.items()}
        with self._writing():
            self._manager.save(step, args=ocp.args.Composite(**saves), metrics=figures)
        self._saved.add(step)

    def wait(self) -> None:
        """Block until every save has landed."""
        with self._writing():
            self._manager.wait_until_finished()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise many kinds
            self._failed = True
            log.debug("saving failed", exc_info=error)
            whole = saved_steps(self._folder)
            raise UserError(
                f"{self._folder}: a checkpoint cannot be written ({_reason(error)}); "
                f"the last whole one is {self._folder / str(whole[-1]) if whole else 'none'}"
            ) from error


def saved_steps(folder: Path) -> list[int]:
    """The steps whose checkpoints were written to their end, in order."""
    try:
        paths = ocp.path.step.checkpoint_steps_paths(folder.absolute())
        found = {ocp.path.step.step_from_checkpoint_name(path.name): path for path in paths}
        return sorted(step for step, path in found.items() if any(path.iterdir()))
    except ValueError as error:  # a name of digits that are no number to Orbax
        raise UserError(f"{folder}: {error}") from None


def best_step(folder: Path) -> int | None:
    """The saved step with the best validation; None where no saved one was validated."""
    scores = {step: _score(folder / str(step)) for step in saved_steps(folder)}
    validated = [(score, step) for step, score in scores.items() if score is not None]
    return max(validated)[1] if validated else None


def restore(folder: Path, template: TrainState, step: int | None = None) -> TrainState:
    """The saved state of a step, or the latest, in the shapes, types and shardings of `template`.

    Raises:
        UserError: no such checkpoint, or one that is damaged or of another model.
    """
    generator = _restored(folder, step, "generator", _generator_item(template))
    training = _restored(folder, step, "training", _training_item(template))
    network = NetworkState(**generator["variables"], opt_state=training["opt_state"])
    discriminator, ema = training.get("discriminator"), generator.get("ema")
    head = {} if template.head is None else _restored(folder, step, "head", _head_item(template))
    averaged = head.get("ema")
    return TrainState(training["step"], network, discriminator, ema, head.get("network"), averaged)


def restore_generator(
    folder: Path, template: Variables, step: int, *, averaged: bool
) -> tuple[Variables, Variables | None]:
    """The saved variables of a generator, and their average where one was kept: see `restore`."""
    wanted = {"variables": template, **({"ema": template} if averaged else {})}
    found = _restored(folder, step, "generator", wanted)
    return found["variables"], found.get("ema")


def restore_discriminator(folder: Path, template: TrainState, step: int) -> Variables | None:
    """The saved variables of a discriminator, None where there was none: see `restore`."""
    found = _restored(folder, step, "training", _training_item(template)).get("discriminator")
    return None if found is None else found.variables


def restore_sums(folder: Path, step: int, sharding: NamedSharding) -> Logged | None:
    """The running sums that were saved with a step, whichever figures these are.

    None where they are missing or damaged: only the current window of a line is lost.
    """
    at = folder.absolute() / str(step) / "sums"
    with suppress(Exception), ocp.StandardCheckpointer() as reader:  # Orbax raises many kinds
        # Where they are to go: the devices that they were saved from may not be there.
        return _read(reader, at, on_devices(reader.metadata(at).item_metadata.tree, sharding))
    return None


def drop_after(folder: Path, step: int) -> None:
    """Delete the checkpoints of later steps, damaged ones too; in the process that writes."""
    for later in saved_steps(folder) if is_main() else []:
        if later > step:
            log.warning("%s: deleted, as the run continues from step %d", folder / str(later), step)
            shutil.rmtree(folder / str(later))


@jax.jit
def checksum(tree: PyTree) -> UInt32[Array, ""]:
    """A sum of all bits of a tree: any number of devices finds the same, a flipped bit changes it.

    Each 32-bit word is weighed with an odd number of its own, so swapped words change it too.
    """
    total = jnp.uint32(0)
    for i, leaf in enumerate(leaf for leaf in jax.tree.leaves(tree) if leaf.size):
        bits = jax.lax.bitcast_convert_type(leaf, f"uint{8 * leaf.dtype.itemsize}")
        words = bits.astype(jnp.uint32)
        weights = 2 * jnp.arange(words.size, dtype=jnp.uint32).reshape(words.shape) + 1
        total += (2 * i + 1) * jnp.sum(words * weights, dtype=jnp.uint32)
    return total


def _generator_item(state: TrainState) -> dict[str, Any]:
    item = {"variables": state.generator.variables}
    return item if state.ema is None else {**item, "ema": state.ema}


def _training_item(state: TrainState) -> dict[str, Any]:
    item = {"step": state.step, "opt_state": state.generator.opt_state}
    return item if state.discriminator is None else {**item, "discriminator": state.discriminator}


def _head_item(state: TrainState) -> dict[str, Any]:
    item = {"network": state.head}
    return item if state.head_ema is None else {**item, "ema": state.head_ema}


def _read(reader: ocp.StandardCheckpointer, at: Path, wanted: PyTree) -> Any:
    """An item of a checkpoint, whose checksum has to be that of its bits."""
    saved = reader.restore(at, wanted)
    if int(checksum(saved["item"])) != int(saved["checksum"]):
        raise ValueError("its bits are not those that were saved")
    return saved["item"]


def _restored(folder: Path, step: int | None, item: str, template: PyTree) -> Any:
    folder, steps = folder.absolute(), saved_steps(folder)
    step = steps[-1] if step is None and steps else step
    if step is None or step not in steps:
        of = "" if step is None else f" of step {step}"
        raise UserError(f"{folder}: no whole checkpoint{of} here; saved steps: {steps or 'none'}")
    at = folder / str(step)
    _score(at)
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
    total = jax.ShapeDtypeStruct((), jnp.uint32, sharding=jax.tree.leaves(abstract)[0].sharding)
    try:
        with ocp.StandardCheckpointer() as reader:
            return _read(reader, at / item, {"item": abstract, "checksum": total})
    except Exception as error:  # Orbax raises many kinds, for missing and for damaged files
        log.debug("restoring failed", exc_info=error)
        others = ", ".join(str(s) for s in steps if s != step)
        raise UserError(
            f"{at}: the checkpoint is damaged or of another model ({_reason(error)}); "
            f"other saved steps: {others or 'none'}"
        ) from error


def _score(checkpoint: Path) -> float | None:
    """The score of the validation that a checkpoint was saved with; None without one."""
    file = checkpoint / "metrics" / "metrics"
    try:
        files.check_regular(checkpoint)
        schema = {MAIN: files.NUMBER, SCORE: files.NUMBER}
        return _scored(files.read_json(file, schema)) if file.exists() else None
    except (UserError, KeyError) as error:
        raise UserError(
            f"{checkpoint}: the checkpoint is damaged ({_reason(error)}); "
            "without its folder the others can be read"
        ) from error


def _scored(figures: dict[str, float]) -> float:
    return figures.get(SCORE, figures[MAIN])


def _without_closed_loops(lost: Any) -> None:
    """Where a save fails, TensorStore's threads print a traceback for each array left to write."""
    if str(lost.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(lost)


def _reason(error: Exception) -> str:
    """One line of an error; TensorStore's are pages, with the system's own words in the middle."""
    text = str(error)
    for words in ("No space left on device", "Disk quota exceeded", "File too large"):
        if words in text:
            return words
    line = (text.splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {line}"
