import pytest

from ctxenc.config.compose import parse
from ctxenc.errors import UserError
from ctxenc.sweeps import overrides


def test_single_runs_try_each_value_once():
    runs = overrides.single_runs(["seed=1,2,3", "mask=center,random", "n_epoch=2"])
    assert runs == [
        ["seed=1", "mask=center", "n_epoch=2"],
        ["seed=2", "mask=center", "n_epoch=2"],
        ["seed=3", "mask=center", "n_epoch=2"],
        ["seed=1", "mask=random", "n_epoch=2"],
    ]
    ends = [["lambda_adv=0.0"], ["lambda_adv=0.1"]]
    assert overrides.single_runs(["lambda_adv=interval(0,0.1)"]) == ends


def test_of_overrides_with_one_key_the_last_counts():
    given = ["seed=0,1", "+experiment=a", "lambda_adv=0", "seed=2", "~loss.seam"]
    assert overrides.settled(given, listed=False) == [
        "seed=2",
        "+experiment=a",
        "lambda_adv=0",
        "~loss.seam",
    ]


@pytest.mark.parametrize("key", ["dataset.path", "+dataset.data_dir", "mask.folder"])
def test_relative_folders_become_absolute(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for listed in (True, False):
        (settled,) = overrides.settled([f"{key}=a,'b c',/b"], listed=listed)
        assert settled == f"{key}='{tmp_path}/a','{tmp_path}/b c','/b'"
        for text in (f"{key}=${{dataset.path}}", f"{key}=null", f"{key}="):
            assert overrides.settled([text], listed=listed) == [text]


def test_the_folder_of_another_run_becomes_absolute_beside_null(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert overrides.settled(["init_from=null,'a=1@3'"], listed=False) == [
        f"init_from=null,'{tmp_path}/a=1@3'"
    ]
    assert overrides.settled(["init_from=null"], listed=False) == ["init_from=null"]


def test_values_that_are_listed_are_read_back_the_same():
    (parsed,) = parse(overrides.settled(["name='a b','c,d',e"], listed=True))
    assert overrides.plain_values(parsed) == ["a b", "c,d", "e"]


def test_a_search_keeps_its_ranges():
    assert overrides.settled(["seed=range(3)"], listed=False) == ["seed=range(3)"]
    assert overrides.settled(["seed=range(3)"], listed=True) == ["seed=0,1,2"]


def test_a_pattern_without_a_match_names_the_choices():
    with pytest.raises(UserError, match=r"mask=glob\(x\*\): expected some of .*center"):
        overrides.settled(["mask=glob(x*)"], listed=True)


def test_a_pattern_for_a_key_that_is_no_group_says_so():
    with pytest.raises(UserError, match="expected some of a group"):
        overrides.values(parse(["seed=glob(*)"])[0])


@pytest.mark.parametrize("override", ["seed=range(0)", "seed=range(3,0)"])
def test_a_range_without_values_is_named(override):
    with pytest.raises(UserError, match="no values in it"):
        overrides.single_runs([override])
