import pytest


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch):
    """Where each test keeps what it computes: a folder of its own, not yet there."""
    home = tmp_path_factory.mktemp("home") / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home
