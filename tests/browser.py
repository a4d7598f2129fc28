"""Headless Chromium, where it is there."""

import contextlib
import json
import os
import shutil

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@contextlib.contextmanager
def chromium(profile):
    """A driver that logs what pages say and ask for; where there is none, its tests are skipped."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    flags = ["headless", "disable-gpu", "disable-quic", "no-first-run", "window-size=1280,900"]
    flags += ["disable-background-networking", "disable-component-update", "disable-sync"]
    flags += [f"user-data-dir={profile}", "disable-dev-shm-usage"]
    flags += ["no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    for flag in flags:
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def asked_for(driver):
    """The addresses that have been asked for since this was called last."""
    messages = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]
