import pytest

from ctxenc.config.schema import Config
from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run
from ctxenc.trained import _fill_value


@pytest.mark.parametrize(
    "colour", [None, "grey", [0.1, 0.2], {"red": 1}, [10**300] * 3, [float("nan")] * 3]
)
def test_a_mean_colour_that_is_not_three_numbers_is_refused(tmp_path, colour):
    run = Run(tmp_path)
    run.write_dataset({"mean_colour": colour})
    with pytest.raises(UserError, match=r"dataset\.json: mean_colour=.*: expected three numbers"):
        _fill_value(run, Config(fill_value="mean"))
