"""Run folders for a page: whole, failed, torn and hostile ones."""

import os

from tests.fake_runs import RANDOM, damage, fake_evaluation, fake_run, fake_samples

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"


def fill(folder):
    """Put the runs into the folder, and return it."""
    for number, psnr in enumerate((15.0, 9.5, 17.25)):
        run = fake_run(
            folder / f"{number}", psnr, seed=number, overrides=[f"seed={number}", "x=a b"]
        )
        fake_samples(run, shade=number / 3)
        fake_evaluation(run, [psnr, psnr + 1])
    fake_run(folder / "random", 25.0, masks="others", **RANDOM)
    hostile = HOSTILE.replace("/", "&sol;")
    error = f"{HOSTILE} ]]> --> </style>"
    run = fake_run(folder / hostile, 8.0, state="failed", error=error, seed=f'{HOSTILE}"')
    run.append_metrics({"split": "validation", "step": 101, HOSTILE: 1, "psnr_db": 3.0})
    damage(fake_run(folder / "torn"), "summary.json", "{")
    damage(fake_run(folder / os.fsdecode(b"no text \xff")), "summary.json", "{")
    return folder
