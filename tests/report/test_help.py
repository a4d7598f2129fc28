import pytest

from ctxenc.config import search_path
from ctxenc.report.help import help_text


@pytest.fixture
def own(tmp_path):
    """A user's own folder of YAML files, searched beside ctxenc's."""
    (tmp_path / "mask").mkdir()
    (tmp_path / "mask" / "edge.yaml").write_text(
        "# A wide frame: 50 % and more.\n_target_: ctxenc.masks.border.frame\nvisible: 0.25\n"
    )
    (tmp_path / "mine.yaml").write_text("defaults: [train, {override mask: edge}]\nn_epoch: 7\n")
    search_path.add(tmp_path)
    yield
    search_path.add(None)


def line_of(text, start):
    (line,) = (line for line in text.splitlines() if line.startswith(f"  {start} "))
    return line


@pytest.mark.usefixtures("own")
def test_choices_of_ones_own_are_listed_with_their_first_comment():
    assert line_of(help_text(), "mask=edge").endswith("A wide frame: 50 % and more.")


@pytest.mark.usefixtures("own")
def test_defaults_are_those_of_the_configuration_asked_for():
    text = help_text("mine")
    assert line_of(text, "mask=edge *")
    assert line_of(text, "mask=center")
    assert line_of(text, "n_epoch=7")


def test_numbers_that_are_zero_or_one_are_no_booleans():
    text = help_text()
    assert line_of(text, "seed=0")
    assert line_of(text, "overlap=0.0")
    assert line_of(text, "flip=true")


def test_it_fits_a_window_of_100_columns_and_names_the_options_for_ones_own_files():
    text = help_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "--config-dir DIR" in text
    assert "--config-name mine" in text
