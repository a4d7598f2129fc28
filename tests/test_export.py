"""The exported generator, loaded where neither ctxenc nor Flax can be imported."""

import contextlib
import hashlib
import json
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import export, features, launch, masks, step
from ctxenc.exporting import example, export_encoder, export_generator
from ctxenc.trained import TrainedModel
from tests.tiny import TINY

ELSEWHERE = """
import sys

class Blocked:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("ctxenc", "flax", "optax", "orbax", "omegaconf", "PIL"):
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
import numpy as np
import load
fill = load.load(sys.argv[1])
given = np.load("given.npz")
first = fill(given["images"], given["mask"])
np.savez("found.npz", filled=first, single=fill(given["images"][:1], given["mask"][:1]),
         box=load.box(sys.argv[1], 1))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("run")):
        return launch.run(*TINY, "max_steps=3", "eval_every=2").path


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    folder.mkdir()  # an empty one is taken
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export", str(run), "-o", str(folder)])
        export.main()
    return folder


def by_ctxenc(trained, images, mask):
    arrays = jnp.asarray(images), jnp.asarray(mask)
    return step.fill(trained.model, trained.variables, *arrays, trained.fill_value)


def test_it_fills_without_ctxenc_what_ctxenc_fills(run, exported, tmp_path):
    trained = TrainedModel.load(run)
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    mask = np.zeros((5, 16, 16, 1), np.float32)
    mask[:, 4:12, 4:12] = 1
    np.savez(tmp_path / "given.npz", images=images, mask=mask)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(exported)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    own = by_ctxenc(trained, images, mask)
    np.testing.assert_allclose(found["filled"], own, atol=1e-5)
    np.testing.assert_allclose(found["single"], own[:1], atol=1e-5)
    np.testing.assert_array_equal(found["box"], mask[:1])


@pytest.mark.parametrize("program", ["generator", "encoder"])
def test_each_platform_is_given_the_convolutions_that_are_fast_there(
    program, run, exported, tmp_path
):
    if program == "encoder":
        exported = tmp_path / "encoder"
        export_encoder(TrainedModel.load(run), exported)
    written = (exported / f"{program}.stablehlo").read_bytes()
    text = jax.export.deserialize(bytearray(written)).mlir_module()
    assert "_platform_index" in text
    for operation in ("stablehlo.dot_general", "stablehlo.convolution"):  # a CPU's, and a GPU's
        assert operation in text


def test_the_contract_describes_the_arrays_and_the_files(run, exported):
    contract = json.loads((exported / "contract.json").read_text())
    trained = TrainedModel.load(run)
    assert contract["arguments"]["images"]["shape"] == ["batch", 16, 16, 3]
    assert contract["predicts"] == "hole"
    assert (contract["mask_height"], contract["mask_width"]) == (8, 8)
    assert contract["box_tops"] == {"first": 4, "last": 4}
    assert contract["step"] == trained.step
    np.testing.assert_allclose(contract["fill_value"], trained.fill_value)
    assert {"cpu", "cuda", "tpu"} <= set(contract["platforms"])
    for name, described in contract["files"].items():
        data = (exported / name).read_bytes()
        assert len(data) == described["bytes"]
        assert hashlib.sha256(data).hexdigest() == described["sha256"]
    with np.load(exported / "weights.npz", allow_pickle=False) as weights:
        count = sum(weights[name].size for name in weights if name.startswith("params/"))
    assert contract["parameters"] == count
    assert sorted(p.name for p in exported.iterdir()) == [
        "README.md",
        "contract.json",
        "generator.stablehlo",
        "load.py",
        "weights.npz",
    ]
    assert str(run.parent) not in "".join(
        (exported / name).read_text() for name in ("README.md", "contract.json")
    )


def test_its_own_example_runs(exported):
    done = subprocess.run(
        [sys.executable, exported / "load.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("filled (1, 16, 16, 3)")


@pytest.mark.parametrize(("precision", "atol"), [("float32", 1e-5), ("bfloat16", 2e-3)])
def test_a_model_of_whole_images_fills_any_mask(tmp_path, precision, atol):
    """One that is given the mask, and whose weights are averaged."""
    kind = ("predict=image", "mask=random", "mask_channel=true", "ema_decay=0.9")
    kind += (f"precision={precision}",)
    with contextlib.chdir(tmp_path):
        trained = TrainedModel.load(
            launch.run(*TINY, *kind, "loss=reconstruction", "max_steps=2").path
        )
    contract = export_generator(trained, tmp_path / "model")
    assert contract["predicts"] == "image"
    assert contract["weights"] == "averaged"
    assert "any shape" in contract["arguments"]["mask"]["is"]
    assert "any shape" in (tmp_path / "model" / "README.md").read_text()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 16, 16, 3), np.uint8)
    mask = (random.random((3, 16, 16, 1)) < 0.4).astype(np.float32)
    found = example.load(tmp_path / "model")(images, mask)
    own = by_ctxenc(trained, images, mask)
    np.testing.assert_allclose(found, own, atol=atol)
    changed = np.abs(found - (images / np.float32(127.5) - 1)).max(axis=-1) > 1e-5
    np.testing.assert_array_equal(changed, mask[..., 0] > 0)


def leave(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        export.main()
    out, err = capsys.readouterr()
    return left.value.code, out, err.splitlines()


def test_a_folder_with_something_in_it_is_refused(run, exported, monkeypatch, capsys):
    before = {file.name: file.read_bytes() for file in exported.iterdir()}
    status, out, (line,) = leave(monkeypatch, capsys, run, "-o", exported)
    assert (status, out) == (1, "")
    assert line == f"ctxenc.export: {exported}: not empty; expected a new or empty folder"
    assert {file.name: file.read_bytes() for file in exported.iterdir()} == before


def test_bad_input_is_one_line_and_nothing_written(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    for arguments in (
        (tmp_path, "-o", tmp_path / "out"),
        (run, "-o", tmp_path / "out", "--checkpoint", "99"),
        (run, "-o", tmp_path / "file"),
    ):
        status, out, (line,) = leave(monkeypatch, capsys, *arguments)
        assert (status, out) == (1, "")
        assert line.startswith("ctxenc.export: ")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_empty_folder_that_is_there_gets_the_files_and_stays_what_it_is(
    run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino  # a mount point cannot be replaced
    monkeypatch.setattr(sys, "argv", ["export", str(run), "-o", ".", "--encoder"])
    export.main()
    assert tmp_path.stat().st_ino == before
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"contract.json", "encoder.stablehlo", "weights.npz"}


@pytest.mark.parametrize("output", ["out", "."])
def test_a_failure_half_way_leaves_nothing(run, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    monkeypatch.setattr(sys, "argv", ["export", str(run), "-o", output])
    with pytest.raises(SystemExit):
        export.main()
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_alone_gives_its_stages_maps_and_holds_no_weight_of_the_decoder(run, tmp_path):
    folder = tmp_path / "encoder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export", str(run), "-o", str(folder), "--encoder"])
        export.main()
    contract = json.loads((folder / "contract.json").read_text())
    assert contract["stages"] == ["conv1", "conv2"]
    assert contract["returns"]["conv2"]["shape"] == ["batch", 4, 4, 8]
    with np.load(folder / "weights.npz") as file:
        weights = dict(file)
    assert not any("ConvTranspose" in path or "Channelwise" in path for path in weights)
    written, trained = (folder / "encoder.stablehlo").read_bytes(), TrainedModel.load(run)
    decoder = trained.variables["params"]["ConvTranspose_0"]["kernel"]
    assert np.asarray(decoder).tobytes()[:64] not in written
    program = jax.export.deserialize(bytearray(written))
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    found = program.call(weights, images)
    seen = masks.to_float(jnp.asarray(images))
    for name, maps in features.stages(trained.model, trained.variables, seen).items():
        np.testing.assert_allclose(found[name], maps, atol=1e-5)
