"""Figures of probes in a comparison: of which images and checkpoint they are, never mixed."""

from ctxenc.comparison import comparison_table, sections
from ctxenc.comparison.records import load
from ctxenc.probing.folder import Probe
from tests.fake_runs import fake_run


def fake_probe(run, percent, name="probe", images="train images", **checkpoint):
    """A probe of these training images, and of the checkpoint best unless another is given."""
    metrics = {
        "images": 10,
        "dataset": {"train_fingerprint": images, "test_fingerprint": f"{images}, test"},
        "options": {"stages": "all", "pool": 2},
        "checkpoint": {"which": "best", "step": 50, "weights": "raw"} | checkpoint,
        "rows": {"model": {"linear": {"mean": percent}}},
    }
    Probe.of(run, name).write(metrics, {})


def shown(folder, **options):
    return comparison_table.tables(sections.compare(load([folder]), **options))


def column(table, key):
    return {row["run"]: row[key] for row in table.values() if row.get(key) is not None}


def test_most_probes_are_those_of_a_table_and_not_of_all_runs(tmp_path):
    for name in "abc":
        fake_probe(fake_run(tmp_path / name), 50.0)
    for name in "de":
        fake_probe(fake_run(tmp_path / name, images="photos"), 30.0, images="photos")
    first, second = shown(tmp_path, baseline="e")
    assert column(first, "probe.linear") == dict.fromkeys("abc", 50.0)
    assert column(second, "probe.linear") == dict.fromkeys("de", 30.0)
    assert "validation.change.psnr_db" in second.values()[0]


def test_runs_that_a_filter_leaves_out_do_not_decide_which_probes_are_shown(tmp_path):
    for name in "abc":
        fake_probe(fake_run(tmp_path / name, lambda_adv=0.5), 50.0)
    fake_probe(fake_run(tmp_path / "d"), 30.0, images="others")
    (all_of_them,) = shown(tmp_path, baseline="d")
    assert column(all_of_them, "probe.linear") == dict.fromkeys("abc", 50.0)
    assert column(all_of_them, "validation.change.psnr_db") == dict.fromkeys("abc", 0.0)
    (filtered,) = shown(tmp_path, filters=["run=d"])
    assert column(filtered, "probe.linear") == {"d": 30.0}


def test_a_probe_of_weights_that_were_not_averaged_gives_way_and_is_said(tmp_path):
    both = fake_run(tmp_path / "a", ema_decay=0.9)
    fake_probe(both, 60.0, name="1", weights="raw")
    fake_probe(both, 50.0, name="2", weights="averaged")
    (table,) = shown(tmp_path)
    assert column(table, "probe.linear") == {"a": 50.0}
    assert "checkpoint" not in [head.title for head, _ in table.visible()]
    fake_probe(fake_run(tmp_path / "b", ema_decay=0.9), 70.0, weights="raw")
    fake_probe(fake_run(tmp_path / "c"), 40.0)  # it has no averaged ones
    fake_probe(fake_run(tmp_path / "d"), 30.0, step=20)  # best by then
    (table,) = shown(tmp_path)
    called = {"a": "best", "b": "raw", "c": "best", "d": "step 20"}
    assert column(table, "probe.checkpoint") == called
    assert "checkpoint" in [head.title for head, _ in table.visible()]
    assert "checkpoint best, raw, step 20." in " ".join(table.notes)
