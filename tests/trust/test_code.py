"""Nothing that is read runs code: seen by Python's own audit hooks, in a process of its own."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import ctxenc
from ctxenc.config import instantiate
from ctxenc.errors import UserError
from ctxenc.parallel import devices
from ctxenc.run_folder.checkpoints import Checkpoints, restore, restore_sums
from tests.small_state import small_state

# Reads a hostile folder; prints what ran. `import` is audited too, of what the folder plants.
WATCHED = """
import sys
ran = []
def hook(event, arguments):
    if event in ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        ran.append((event, str(arguments)))
from pathlib import Path
from ctxenc.comparison import records
from ctxenc.data import image_files
from ctxenc.errors import UserError
from ctxenc.inpainting import mask_files, photographs
from ctxenc.run_folder.folder import Run
sys.addaudithook(hook)
folder = Path(sys.argv[1])
refused = 0
def refuses(read, *arguments):
    global refused
    try:
        read(*arguments)
    except (UserError, image_files.UnreadableError):
        refused += 1
for file in sorted((folder / "pictures").iterdir()):
    for read in (photographs.read, mask_files.read, image_files.read):
        refuses(read, file)
for run in sorted((folder / "runs").iterdir()):
    assert records.read(run, run.name).state == "damaged"
    refuses(lambda: Run(run).config)
print(refused, ran, (folder / "ran").exists(), "planted" in sys.modules)
"""

POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 10 10
%%EndComments
(RAN) (w) file closefile showpage
%%EOF
"""
PICKLE = b"cos\nsystem\n(S'touch RAN'\ntR."
TAGS = (
    "a: !!python/object/apply:os.system ['touch RAN']",
    "a: !!python/object/new:os.system ['touch RAN']",
    "a: !!python/name:os.system",
    "a: !!python/module:planted",
    "!!python/object/apply:subprocess.Popen [[touch, RAN]]",
)


def test_hostile_pictures_and_run_folders_run_nothing(tmp_path):
    pictures, ran = tmp_path / "pictures", str(tmp_path / "ran").encode()
    pictures.mkdir()
    for name in ("a.png", "a.jpg", "a.tif", "a.eps"):
        (pictures / name).write_bytes(POSTSCRIPT.replace(b"RAN", ran))
    (pictures / "b.png").write_bytes(PICKLE.replace(b"RAN", ran))
    with (pictures / "c.png").open("wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    for number, text in enumerate(TAGS):
        hydra = tmp_path / "runs" / str(number) / ".hydra"
        hydra.mkdir(parents=True)
        (hydra / "config.yaml").write_text(text.replace("RAN", ran.decode()))
        (hydra / "overrides.yaml").write_text(f"- {text}".replace("RAN", ran.decode()))
    (tmp_path / "planted.py").write_text("raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(ctxenc.__file__).parents[1]}", "PATH": ""},
    )
    assert done.stdout == "23 [] False False\n", done.stderr  # 6 × 3 pictures and 5 runs


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "ctxenc.data.cifar10.io.open",
        "ctxenc.data.cifar10.urllib.request.urlopen",
        "ctxenc.data.folder.Path",
        "ctxenc.data.folder._images_below",
        "ctxenc.masks.boxes.__loader__.load_module",
        "ctxenc.masks.__class__",
        "ctxenc.data../../../tmp/planted.run",
        "ctxenc.data.\x00.x",
        "ctxenc.run_folder.folder.Run",
        "ctxenc.launch.run",
        "optax._src.base.partial",
        "hydra.utils.call",
        ["os.system"],
        {"a": 1},
        7,
        "",
        None,
    ],
)
@pytest.mark.parametrize("group", ["dataset", "mask", "model", "optimizer", "another"])
def test_a_saved_folder_names_no_code_but_what_is_allowed(tmp_path, group, target):
    for node in ({"_target_": target}, {"part": {"_target_": target}}, [{"_target_": target}]):
        with pytest.raises(UserError, match="not run from a saved folder"):
            instantiate.check_allowed({group: node}, tmp_path)


def test_what_is_allowed_may_stand_anywhere_and_say_what_it_does_not_take():
    saved = {"optimizer": {"b1": [{"_target_": "optax.adam", "b2": 0.9, "gone": 1}]}}
    instantiate.check_allowed(saved, Path("run"))
    assert instantiate.unknown_options(saved) == [("optimizer", "b1", "0", "gone")]


def test_a_saved_folder_may_name_announced_packages(tmp_path, monkeypatch):
    package = tmp_path / "their_masks"
    package.mkdir()
    (package / "__init__.py").write_text("def stripes(key, batch, height, width): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    saved = {"mask": {"_target_": "their_masks.stripes"}, "optimizer": {"_target_": "optax.adam"}}
    with pytest.raises(UserError, match="if you trust it: CTXENC_PLUGINS=their_masks"):
        instantiate.check_allowed(saved, tmp_path)
    assert "their_masks" not in sys.modules  # it was not even imported
    monkeypatch.setenv("CTXENC_PLUGINS", "others, their_masks")
    instantiate.check_allowed(saved, tmp_path)
    with pytest.raises(UserError, match="not run from a saved folder"):
        instantiate.check_allowed({"mask": {"_target_": "their_masks.os"}}, tmp_path)


def test_no_pickle_and_no_evaluation_of_text_in_the_source():
    """No module that unpickles, no `eval`, no `torch.load`, and shells nowhere."""
    found = []
    for file in Path(ctxenc.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                modules = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}
                found += [(file.name, n) for n in names if n.split(".")[0] in modules]
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                forbidden = called in ("eval", "exec", "os.system", "yaml.unsafe_load")
                forbidden |= called.endswith(("torch.load", "hydra.utils.instantiate"))
                forbidden |= called == "np.load" and keywords.get("allow_pickle") != "False"
                forbidden |= keywords.get("shell") == "True"
                found += [(file.name, called)] * forbidden
    assert not found


def test_a_checkpoint_of_pickles_is_damaged_and_runs_nothing(tmp_path):
    saved, state = tmp_path / "saved", small_state(1)
    with Checkpoints(saved) as checkpoints:
        checkpoints.save(1, state, {"steps": jnp.ones(())}, {"psnr_db": 1.0})
    loaded = []
    sys.addaudithook(lambda event, _: loaded.append(event) if "pickle" in event else None)
    restore(saved, state)
    names = [file.relative_to(saved) for file in saved.rglob("*") if file.is_file()]
    refused = 0
    for name in names:
        folder = tmp_path / "stranger"
        shutil.copytree(saved, folder)
        (folder / name).write_bytes(PICKLE.replace(b"RAN", str(tmp_path / "ran").encode()))
        restore_sums(folder, 1, devices.shardings()[0])
        try:
            restore(folder, state)
        except UserError:
            refused += 1
        shutil.rmtree(folder)
    assert refused >= 3  # of what it is made of; Orbax does not read the rest
    assert not loaded
    assert not (tmp_path / "ran").exists()
