import pytest
from omegaconf import OmegaConf

from ctxenc.comparison.settings import Settings, differing
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from ctxenc.run_folder.files import read_yaml


def settings_of(*overrides):
    composed = OmegaConf.to_container(compose(overrides), resolve=False)
    return Settings.of(composed, overrides), Settings.of(composed)


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        ("mask", "random"),
        ("mask", "center"),
        ("loss", "reconstruction"),
        ("loss", "joint"),
        ("loss", "hinge"),
        ("loss", "r1"),
        ("mask", "region"),
        ("mask", "mixture"),
        ("schedule", "cosine"),
        ("model", "tf_original"),
        ("dataset", "cifar10"),
        ("dataset", "cifar10_cats"),
    ],
)
def test_a_group_is_named_by_its_choice_with_and_without_the_overrides(group, choice):
    for found in settings_of(f"{group}={choice}"):
        assert found.values[group] == choice
        assert not found.changed


def test_a_recipes_choices_are_recognised():
    found, _ = settings_of("+experiment=tf_original_cats")
    chosen = {group: found.values[group] for group in ("dataset", "mask", "loss", "model")}
    assert chosen == {
        "dataset": "cifar10_cats",
        "mask": "center",
        "loss": "joint",
        "model": "tf_original",
    }


def test_a_choice_of_ones_own_is_named_by_its_override_or_its_function():
    config = {"mask": {"_target_": "mine.masks.corner_box", "mask_height": 3}}
    assert Settings.of(config, ["mask=corner"]).values["mask"] == "corner"
    assert Settings.of(config).values["mask"] == "corner_box"


def test_only_what_tells_runs_apart_differs():
    runs = [settings_of(*o)[0] for o in (["mask=random"], ["mask=center", "seed=1"])]
    assert differing(runs) == ["seed", "mask"]  # not mask._target_
    runs = [settings_of(*o)[0] for o in (["model=cifar"], ["model=tf_original"])]
    assert differing(runs) == ["model"]  # not model.generator.bottleneck
    wide = "model.generator.widths=[8,16,32]"
    runs = [settings_of(*o)[0] for o in (["model=cifar"], ["model=tf_original", wide])]
    assert differing(runs) == ["model", "model.generator.widths"]
    runs = [settings_of(*o)[0] for o in ([], [wide])]
    assert differing(runs) == ["model.generator.widths"]
    assert runs[1].values["model.generator.widths"] == "[8,16,32]"
    runs = [settings_of(*o)[0] for o in (["loss=joint"], ["loss=r1", "schedule=cosine"])]
    assert differing(runs) == ["lambda_r1", "loss", "schedule"]
    assert differing([settings_of("name=a")[0], settings_of("name=b")[0]]) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("predict", "image"),
        ("discriminator_input", "composite"),
        ("overlap", 0.1),
        ("ema_decay", 0.99),
        ("mask_channel", True),
        ("context_weight", 10),
        ("init_from", "/runs/a@3"),
        ("init_from_parts", ["generator"]),
    ],
)
def test_every_key_that_changes_what_is_trained_tells_runs_apart(key, value):
    runs = [Settings.of(config) for config in ({key: None, "seed": 0}, {key: value, "seed": 0})]
    assert differing(runs) == [key]


@pytest.mark.parametrize("text", ["a: &a [1]\nb: *a\n", "&a {x: *a}", "x" * 2**21, "{", "\x00"])
def test_yaml_that_is_no_configuration_is_a_user_error(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_yaml(tmp_path / "config.yaml", {})
