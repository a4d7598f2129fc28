"""Every configuration composes, and every bad value is one line that names it."""

import dataclasses
import functools
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

from ctxenc import launch, step
from ctxenc.config import build, schema, search_path
from ctxenc.config.checks import check, compatible
from ctxenc.config.compose import as_typed, check_length, compose, folder_name
from ctxenc.config.search_path import choices, config_dir
from ctxenc.errors import UserError
from ctxenc.experiment import Experiment
from ctxenc.report.help import help_text
from ctxenc.sweeps import start
from ctxenc.sweeps.overrides import settled, single_runs
from tests.tiny import TINY

ORIGINAL_FLAGS = {
    "learning_rate_g": 5e-4,
    "learning_rate_d": 1e-4,
    "n_epoch": 20,
    "batch_size": 64,
    "lambda_adv": 1e-3,
    "mask_height": 16,
    "mask_width": 16,
    "n_update": 50,
    "num_img": 6,
    "samples_dir": "samples",
    "save_dir": "checkpoints",
}


OTHERWISE = (
    "learning_rate_g",
    "learning_rate_d",
    "lambda_adv",
)  # suit the default optimizer and loss


def test_the_original_projects_flags_are_keys_with_its_defaults_but_for_three():
    config = check(compose(["dataset=cifar10"]))  # the embedded photographs have an n_epoch too
    changed = [key for key, flag in ORIGINAL_FLAGS.items() if getattr(config, key) != flag]
    assert changed == list(OTHERWISE)


def test_training_images_are_changed_by_default_where_there_are_few():
    assert check(compose()).augment["_target_"].endswith("colour")
    assert check(compose(["augment=none"])).augment["_target_"].endswith("none")
    assert check(compose(["dataset=cifar10"])).augment["_target_"].endswith("none")


def test_the_schema_and_the_yaml_name_the_same_keys():
    assert set(compose().keys()) == set(schema.keys())


@pytest.mark.parametrize("dataset", choices("dataset"))
def test_every_dataset_composes(dataset):
    config = check(compose([f"dataset={dataset}"]))
    assert config.dataset["_target_"].startswith("ctxenc.data.")


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_composes(experiment):
    config = check(compose([f"+experiment={experiment}"]))
    assert config.name == experiment


def test_the_original_projects_recipe():
    config = check(compose(["+experiment=tf_original"]))
    assert {key: getattr(config, key) for key in ORIGINAL_FLAGS} == ORIGINAL_FLAGS
    assert config.model["generator"]["bottleneck"] == 4000
    assert config.mask["_target_"].endswith("random_box")
    cats = check(compose(["+experiment=tf_original_cats"]))
    assert cats.dataset["classes"] == ["cat"]
    assert cats.mask["_target_"].endswith("center_box")


# What the paper and its authors' code say: section 4.2 and the code's defaults.
PAPERS = {
    "lambda_adv": 1e-3,
    "learning_rate_g": 2e-3,
    "learning_rate_d": 2e-4,
    "fill_value": "mean",
    "batch_size": 64,
    "ema_decay": None,
}
RECIPES = {
    "paper_center": {
        **PAPERS,
        **{"image_size": 128, "overlap": 4 / 64, "context_weight": 10.0},
        **{"window": (64, 64), "band": 4, "whole": False, "resize": 350},
    },
    "paper_random": {
        **PAPERS,
        **{"image_size": 128, "overlap": 0.0, "context_weight": 1.0},
        **{"window": (128, 128), "band": 0, "whole": True, "resize": 350},
    },
    "paper_features": {
        **PAPERS,
        **{"lambda_adv": 0.0, "image_size": 227},
        **{"window": (227, 227), "band": 0, "whole": True, "resize": 256},
    },
}


@pytest.mark.parametrize("experiment", RECIPES)
def test_the_papers_recipes_are_the_papers(experiment):
    config = check(compose([f"+experiment={experiment}", "dataset.path=photographs"]))
    model = build.model(config)
    views = model.geometry
    found = {"window": views.window, "band": views.band, "whole": views.whole}
    found |= {"resize": config.dataset["resize"]}
    found |= {key: getattr(config, key) for key in RECIPES[experiment].keys() - found.keys()}
    assert found == RECIPES[experiment]
    assert config.optimizer == {
        **{"_target_": "ctxenc.optim.adam", "b1": 0.5, "b2": 0.999, "eps": 1e-8}
    }
    build.check_model(model, config)


def test_what_the_user_gives_wins_over_a_recipe():
    assert check(compose(["+experiment=tf_original", "n_epoch=3", "mask=center"])).n_epoch == 3


def test_lambda_rec_is_one_minus_lambda_adv_unless_set():
    assert check(compose(["lambda_adv=0.25"])).weights == (0.75, 0.25)
    assert check(compose(["lambda_adv=0.25", "lambda_rec=2"])).weights == (2.0, 0.25)
    assert check(compose(["loss=reconstruction"])).weights == (1.0, 0.0)


BAD = {
    "lambda_adv=abc": "lambda_adv=abc: expected a number of at least 0",
    "lambda_adv=-1": "lambda_adv=-1: expected a number of at least 0",
    "lambda_adv=nan": "lambda_adv=nan: expected",
    "lambda_adv=inf": "lambda_adv=inf: expected",
    "lambda_adv=null": "lambda_adv=null: expected",
    "lambda_adv=2": "lambda_adv=2: must be 0 to 1 while lambda_rec is null",
    "batch_size=0": "batch_size=0: expected a whole number of at least 1",
    "batch_size=1.5": "batch_size=1.5: expected a whole number",
    "seed=-1": "seed=-1: expected a whole number from 0 to 4",
    "precision=float16": "precision=float16: expected float32 or bfloat16 or auto",
    "flip=perhaps": "flip=perhaps: expected true or false",
    "name=''": "name=: expected a relative path",
    "name=../../elsewhere": "name=../../elsewhere: expected",
    "fill_value=2": "fill_value=2: expected a number from -1 to 1, or mean",
    "fill_value=grey": "fill_value=grey: expected a number from -1 to 1, or mean",
    "mask=nope": "mask=nope: expected blocks, border, center",
    "mask=centre": "mask=centre: did you mean center? expected blocks, border, center",
    "+mask=random": "+mask: it has a value already; expected mask=…, without +",
    "++mask=random": "++mask: a group's choice; expected mask=…, without ++",
    "+lambda_adv=1": "+lambda_adv: it has a value already; expected lambda_adv=…, without +",
    "experiment=paper_center": "experiment: nothing of it is chosen; expected +experiment=…",
    "mask.blocks=3": "mask.blocks: not an option of this mask; expected mask=blocks with it",
    "+experiment=nope": "experiment=nope: expected autoencoder, cifar10_center",
    "learning_rate=1": "learning_rate: no such key; did you mean learning_rate_g or learning",
    "nonsense=1": "nonsense: no such key",
    "+nonsense=1": "nonsense: no such key",
    "mask.nonsense=1": "mask.nonsense: no such key",
    "+mask.nonsense=1": "mask.nonsense: no such option",
    "model.generator.widths=abc": "model.generator.widths=abc: expected",
    "optimizer.beta=[1]": "optimizer.beta=[1]: expected float",
    "mask._target_=os.nothing": "mask._target_=os.nothing: cannot be imported",
    "mask._target_=ctxenc.errors.no": "mask._target_=ctxenc.errors.no: cannot be imported",
    "mask_height=33": "mask_height=33: ",
    "mask_width=18": "mask_width=18: ",
    "mask_height=0": "mask_height=0: expected a whole number of at least 1",
    "image_size=30": "image_size=30: ",
    "lambda_adv=0,1": "lambda_adv=0,1: several values need --multirun",
    "lambda_adv=[": "lambda_adv=[: Hydra cannot read this",
    "model=null": "model=null: expected model=CHOICE",
    "=3": "=3: expected KEY=CHOICE",
    "+experiment=5": "+experiment=5: expected experiment=CHOICE",
    "~flip": "flip: no value",
    "~mask": "mask: no value",
    "seed=99999999999999999999": "seed=99999999999999999999: expected",
    "model.generator=null": "model.generator=None: expected",
    "loss.adversarial._target_=ctxenc.losses.l2": "loss.adversarial",
    "+loss.nonsense=1": "loss.nonsense: no such term; expected reconstruction, adversarial, seam",
    "mask._target_=ctxenc.masks.jax": "mask._target_=ctxenc.masks.jax: expected a function",
    "+mask.batch=3": "mask.batch: no such option",
    "+model.generator.output_size=[3,3]": "model.generator.output_size: no such option",
    "optimizer.beta=2": "optimizer.beta=2.0: expected",
    "samples_dir=..": "samples_dir=..: expected",
    "save_dir=.hydra": "save_dir=.hydra: expected",
    "save_dir=samples": "save_dir=samples: ",
    "dataset.path=1": "dataset.path: not an option of this dataset; expected dataset=folder",
    "dataset=folder/": "dataset=folder/: did you mean folder? expected cifar10",
    "init_from=": "init_from=: empty; expected a folder",
}


@pytest.mark.parametrize("override", BAD)
def test_bad_input_is_refused_in_one_line_that_names_it(override):
    def attempt():
        config = check(compose([override]))
        build.check_model(build.model(config), config)

    with pytest.raises(UserError) as refusal:
        attempt()
    assert str(refusal.value).startswith(BAD[override])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "given", ["dataset=folder dataset.path=", "dataset=cifar10 dataset.data_dir=''", "resume="]
)
def test_an_empty_text_is_no_folder_and_not_the_working_folder(given):
    key = given.split()[-1].strip("'")
    with pytest.raises(UserError, match=f"^{key}: empty; expected a"):
        launch.run(*given.split())


def test_keys_that_make_no_sense_together_are_refused():
    with pytest.raises(UserError, match="no adversarial term"):
        check(compose(["loss=reconstruction", "lambda_adv=1e-3"]))
    with pytest.raises(UserError, match="nothing is left"):
        check(compose(["lambda_rec=0", "lambda_adv=0"]))


def test_a_sweep_is_tried_one_value_at_a_time():
    runs = single_runs(["seed=1,2,3", "mask=center,random", "n_epoch=2"])
    assert set(runs[0]) == {"n_epoch=2", "seed=1", "mask=center"}
    assert sorted(tuple(sorted(run)) for run in runs[1:]) == [
        ("mask=center", "n_epoch=2", "seed=2"),
        ("mask=center", "n_epoch=2", "seed=3"),
        ("mask=random", "n_epoch=2", "seed=1"),
    ]
    assert single_runs(["seed=range(0,2)"]) == [["seed=0"], ["seed=1"]]


@pytest.mark.parametrize("chosen", ["+experiment=cifar10_center", "max_steps=6000"])
def test_epochs_where_steps_decide_are_refused(chosen):
    with pytest.raises(UserError, match=r"^n_epoch=2: max_steps=6000 decides here; expected max"):
        launch.run(chosen, "n_epoch=2")
    with pytest.raises(UserError, match=r"^n_epoch=2,3: max_steps=6000 decides here"):
        start.new([chosen, "n_epoch=2,3"])
    typed = ["n_epoch=2", "max_steps=null"]
    check_length(compose([chosen, *typed]), typed)


@pytest.mark.parametrize("override", ["flip=2", "mask_channel=-1", "flip=0.5"])
def test_a_number_is_neither_true_nor_false(override):
    name, _, value = override.partition("=")
    with pytest.raises(UserError, match=rf"^{name}={value}: expected true or false"):
        check(compose([override]))
    assert check(compose(["flip=0", "mask_channel=1"])).flip is False


def test_a_number_is_neither_true_nor_false_to_an_option():
    with pytest.raises(UserError, match=r"batch_norm=5: expected bool"):
        build.model(check(compose(["model=cifar", "model.discriminator.batch_norm=5"])))


@pytest.mark.parametrize("named", ["my_parts.py", "nosuch.sub", "./here", ".."])
def test_plugins_that_are_no_packages_are_one_line(monkeypatch, named):
    monkeypatch.setenv("CTXENC_PLUGINS", named)
    with pytest.raises(
        UserError, match=rf"^CTXENC_PLUGINS={re.escape(named)}: .*expected packages"
    ):
        compose()


def test_a_choice_is_described_by_its_first_comment_with_words(tmp_path, monkeypatch):
    (tmp_path / "mask").mkdir()
    (tmp_path / "mask" / "mine.yaml").write_text("# @package _global_\n# \n#\n# My own.\na: 1\n")
    monkeypatch.setattr(search_path, "_extra", [tmp_path])
    assert choices("mask")["mine"] == "My own."


def test_help_explains_every_key_and_lists_every_choice():
    text = help_text()
    for name, key in schema.keys().items():
        assert name in schema.groups() or f"  {name}=" in text
        assert name in schema.groups() or key.meaning.split()[0] in text
    for group in schema.groups():
        for choice, description in choices(group).items():
            assert f"{group}={choice}" in text
            assert description.split()[0] in text
            assert description.endswith((".", "…"))
    assert max(map(len, text.splitlines())) <= 100


def test_equal_configurations_share_one_model_and_so_one_compilation():
    one = build.model(check(compose(["lambda_adv=0.5", "seed=1", "learning_rate_g=1"])))
    assert one is build.model(check(compose()))
    assert one is not build.model(check(compose(["mask=random"])))


@pytest.mark.parametrize(
    ("platform", "dtype"), [("cpu", jnp.float32), ("gpu", jnp.bfloat16), ("tpu", jnp.bfloat16)]
)
def test_bfloat16_is_of_the_products_alone_on_cpu(platform, dtype, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    build._model.cache_clear()  # which knows one platform a process
    model = build.model(check(compose(["precision=bfloat16"])))
    build._model.cache_clear()
    assert (model.generator.dtype, model.discriminator.dtype) == (dtype, dtype)
    assert model.bfloat16_products == (platform == "cpu")


@pytest.mark.parametrize(
    ("platform", "units", "expected"),
    [
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("gpu", "7.5", "float32"),
        ("gpu", "8.0", "bfloat16"),
        ("gpu", "10.0", "bfloat16"),
        ("gpu", "gfx942", "bfloat16"),
        ("tpu", None, "bfloat16"),
    ],
)
def test_auto_is_the_precision_that_the_machine_is_faster_with(
    platform, units, expected, monkeypatch
):
    device = SimpleNamespace(**({"compute_capability": units} if platform == "gpu" else {}))
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    monkeypatch.setattr(build, "has_bfloat16_products", lambda: units)
    config = check(compose(["precision=auto"]))
    assert build.precision(config) == expected
    build._model.cache_clear()  # which knows one platform a process
    model = build.model(config)
    assert model is build.model(check(compose([f"precision={expected}"])))
    build._model.cache_clear()


def test_a_run_says_which_precision_auto_was(monkeypatch):
    monkeypatch.setattr(build, "has_bfloat16_products", lambda: True)
    composed = compose([*TINY, "precision=auto"])
    launch.prepare(composed)
    assert composed.precision == "bfloat16"


def test_a_jobs_folder_name_is_one_folder():
    assert folder_name(3, "dataset.path=/a/b,seed=1") == "3-dataset.path=_a_b,seed=1"
    assert folder_name(0, "") == "0"
    assert folder_name(1, "model.generator.widths=[4,8]") == "1-model.generator.widths=(4,8)"
    assert len(folder_name(0, "x" * 1000)) < 200
    given = "init_from='/a/sweep/0-x=(4,8),y=1@30',seed=1"
    assert folder_name(2, given) == "2-init_from=0-x=(4,8),y=1@30,seed=1"


def test_the_yaml_files_are_found_from_anywhere(tmp_path):
    code = "from ctxenc.config.compose import compose; print(compose().batch_size)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "64"


def test_masks_that_are_not_the_box_the_generator_fills_are_refused():
    config = check(compose(["mask.mask_height=12", "mask_height=8", "predict=hole"]))
    with pytest.raises(UserError, match="expected one box of 8 × 16 pixels"):
        Experiment.of(config)


def test_every_yaml_file_is_plain_and_described():
    for file in Path(config_dir()).rglob("*.yaml"):
        assert file.read_text().startswith("# "), file
        OmegaConf.load(file)


def test_a_key_that_an_older_folder_lacks_has_the_value_that_stood_for_it(tmp_path, monkeypatch):
    """The default where nothing else is said; of a group, a choice."""
    now, older = check(compose()), compose(["flip=false", "mask=region", "image_size=64"])
    OmegaConf.set_struct(older, False)
    for name in ("context_weight", "flip", "schedule", "mask_height"):
        del older[name]
    fields = schema.fields()
    for name, before in (("flip", False), ("schedule", "cosine")):
        known = dataclasses.replace(fields[name].metadata["key"], before=before)
        monkeypatch.setitem(vars(schema.Config)["__dataclass_fields__"], name, fields[name])
        monkeypatch.setattr(fields[name], "metadata", {**fields[name].metadata, "key": known})
    found = check(compatible(older, tmp_path))
    assert (found.context_weight, found.flip) == (now.context_weight, False)
    assert found.mask_height == 16  # whatever the image's size
    assert found.schedule["_target_"] == "ctxenc.optim.cosine"


def test_a_key_that_a_newer_version_wrote_is_named_and_ignored(tmp_path, caplog):
    newer = compose()
    OmegaConf.set_struct(newer, False)
    newer["sharpening"] = 3
    newer["palette"] = {"red": 1}
    assert check(compatible(newer, tmp_path)) == check(compose())
    assert "sharpening=3: this version of ctxenc has no such key" in caplog.text
    with pytest.raises(UserError, match="sharpening: no such key"):
        check(newer)  # of what somebody types, it is a slip


@pytest.mark.parametrize(("size", "hole"), [("64", 32), ("227", 113), ("8", 4), ("'48'", 24)])
def test_the_hole_is_half_of_the_image_as_numbers(size, hole):
    composed = compose([f"image_size={size}"])
    saved = OmegaConf.to_container(composed, resolve=False)
    assert (saved["mask_height"], saved["mask_width"]) == (hole, hole)
    config = check(composed)
    assert (config.mask["mask_height"], config.mask["mask_width"]) == (hole, hole)


def test_a_side_of_the_hole_that_is_given_stays_and_the_other_is_half():
    config = check(compose(["image_size=64", "mask_height=8"]))
    assert (config.mask_height, config.mask_width) == (8, 32)


@pytest.mark.parametrize("size", ["abc", "null", "nan", "[1]", "1e400", "64.5", "-1"])
def test_a_bad_image_size_is_named_and_not_the_hole(size):
    with pytest.raises(UserError, match=r"^image_size=.*: expected a whole number from 8 to 4096"):
        check(compose([f"image_size={size}"]))


# Their encoders halve once more than their decoders double.
@pytest.mark.parametrize("model", ["cifar", "tf_original", "paper_center"])
def test_half_of_an_image_that_fits_a_model_fits_it_too(model):
    made = build.model(check(compose([f"model={model}", "image_size=96"])))
    assert made.geometry.window == (48, 48)
    init = functools.partial(made.generator.init, train=False)
    jax.eval_shape(init, jax.random.key(0), np.zeros((1, 96, 96, 3), np.float32))


def test_a_hole_that_the_network_cannot_make_is_named():
    config = check(compose(["model=paper_random_64", "image_size=48"]))
    with pytest.raises(UserError, match=r"^mask_height=24: expected a multiple of 16"):
        build.check_model(build.model(config), config)


def test_a_group_of_ones_own_may_be_referred_to():
    config = check(compose(["+sizes.hole=8", "mask_height=${sizes.hole}"]))
    assert config.mask_height == 8


def test_every_key_has_a_role_and_the_traced_ones_are_the_steps_numbers():
    config = check(compose(["fill_value=mean", "lambda_adv=0.25"]))
    numbers = build.hyperparameters(config, np.array([0.1, 0.2, 0.3]), 100)
    assert set(numbers) == {*schema.traced(), "total_steps"}
    assert float(numbers["lambda_rec"]) == 0.75
    assert numbers["fill_value"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert not np.isnan(numbers["ema_decay"])
    without = build.hyperparameters(check(compose(["ema_decay=null"])), np.zeros(3), 100)
    assert np.isnan(without["ema_decay"])  # where the step would use it, it fails
    for key in schema.keys().values():
        assert isinstance(key.role, schema.Role)
        assert key.meaning


def test_any_optimizer_of_optax_can_be_named(images, key):
    config = check(compose([*TINY, "optimizer._target_=optax.lion", "~optimizer.eps"]))
    model = build.model(config)
    state = step.init(model, key, 16)
    before = np.array(state.generator.params["Conv_0"]["kernel"])
    numbers = build.hyperparameters(config, np.zeros(3), 10)
    after, _ = step.train_step(model, state, images, numbers, key)
    moved = np.abs(np.asarray(after.generator.params["Conv_0"]["kernel"]) - before)
    np.testing.assert_allclose(moved, config.learning_rate_g, rtol=1e-2)  # Lion's are signs


def test_a_schedule_of_optax_can_be_named():
    options = {"init_value": 1.0, "end_value": 0.0, "transition_steps": 10}
    added = [f"+schedule.{name}={value}" for name, value in options.items()]
    model = build.model(check(compose(["schedule._target_=optax.linear_schedule", *added])))
    assert float(model.schedule(jnp.int32(5), jnp.float32(100))) == 0.5


@pytest.mark.parametrize(
    ("given", "is_"), [("0", 0.0), ("-1", -1.0), ("0.5", 0.5), ("mean", "mean")]
)
def test_a_fill_may_be_a_whole_number(given, is_):
    assert check(compose([f"fill_value={given}"])).fill_value == is_


def test_text_keys_keep_what_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for typed in ("2024_01_15", "1e3", "true", "NaN", "+5", "2024", "'1e3'", "a b"):
        given = [f"name={typed}", "dataset=folder", f"dataset.path={typed}"]
        composed = compose([*given, f"hydra.run.dir={typed}"], with_hydra=True)
        plain = typed.strip("'")
        assert (str(composed.name), composed.dataset.path) == (plain, str(tmp_path / plain))
        assert composed.hydra.run.dir == plain
    assert compose(["learning_rate_g=1e-3", "fill_value=1e-1", "flip=true"]).fill_value == 0.1


def test_what_the_schema_knows_is_told_apart_without_composing(monkeypatch):
    monkeypatch.setattr("ctxenc.config.compose.compose", lambda *_, **__: pytest.fail("composed"))
    given = ["lambda_adv=1e-3,1e-2", "name=1e3", "hydra.run.dir=1e3", "mask=random"]
    assert as_typed(given) == [given[0], "name='1e3'", "hydra.run.dir='1e3'", given[3]]


def test_text_keys_keep_what_was_typed_in_sweeps_and_beside_a_saved_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["dataset=folder", "dataset.path=2024_01_15,choice,'1e3'", "name=choice(1e3,x,true)"]
    assert as_typed(given) == [
        "dataset=folder",
        "dataset.path='2024_01_15',choice,'1e3'",
        "name=choice('1e3',x,'true')",
    ]
    assert settled(as_typed(given[:2]), listed=True)[1] == "dataset.path=" + ",".join(
        f"'{tmp_path / name}'" for name in ("2024_01_15", "choice", "1e3")
    )
    saved = compose(["dataset=folder", "dataset.path=a"])
    assert as_typed(["dataset.path=1e3"], saved) == ["dataset.path='1e3'"]
    assert as_typed(["dataset.path=1e3", "seed=1e3"]) == ["dataset.path=1e3", "seed=1e3"]
