import logging
import multiprocessing
import os
import sqlite3

import diskcache
import pytest

from ctxenc.data import cache


def test_what_is_saved_is_loaded_and_the_last_value_counts():
    assert cache.load("colour") is None
    for value in ([1.5, -2.0], {"caf\udce9.png": "x" * 100_000}):
        cache.save("colour", value)
        assert cache.load("colour") == value
    assert cache.load("another") is None


def save_many(start):
    for number in range(start, start + 10):
        cache.save(f"value {number}", number)


def test_several_processes_may_save_at_once():
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=save_many, args=(start,)) for start in (0, 5, 10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [cache.load(f"value {number}") for number in range(20)] == list(range(20))


def test_another_that_writes_while_it_is_opened_is_waited_for(cache_home, monkeypatch):
    cache.save("colour", 1)
    database = cache_home / "ctxenc" / "results" / "cache.db"
    other, opened = sqlite3.connect(database, isolation_level=None), diskcache.Cache.drop_tag_index
    tries = []

    def drop_tag_index(self):  # the one write of diskcache's opening that does not wait
        tries.append(self)
        if len(tries) > 1:
            return opened(self)
        other.execute("BEGIN EXCLUSIVE")
        try:
            return opened(self)
        finally:
            other.execute("ROLLBACK")

    monkeypatch.setattr(diskcache.Cache, "drop_tag_index", drop_tag_index)
    cache.save("colour", 2)
    assert len(tries) == 2
    assert cache.load("colour") == 2
    other.close()


class Planted:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize("size", [1, 100_000])  # in the database, and in a file of its own
def test_a_pickle_is_not_loaded(cache_home, size):
    cache.save("colour", 1)
    with diskcache.Cache(str(cache_home / "ctxenc" / "results"), disk=diskcache.Disk) as pickles:
        pickles.set("planted", [Planted(), "x" * size])
    with sqlite3.connect(cache_home / "ctxenc" / "results" / "cache.db") as database:
        (key,) = database.execute("SELECT key FROM Cache WHERE mode != 4").fetchone()
        database.execute("DELETE FROM Cache WHERE mode != 4")
        database.execute("UPDATE Cache SET key = ? WHERE mode = 4", (key,))
    database.close()
    assert cache.load("colour") is None


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" * 300])
def test_a_damaged_cache_is_begun_anew_without_a_message(cache_home, content, caplog):
    cache.save("colour", 1)
    (cache_home / "ctxenc" / "results" / "cache.db").write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert cache.load("colour") is None
    cache.save("colour", 2)
    assert cache.load("colour") == 2
    assert not caplog.records


def test_a_damaged_value_is_none(cache_home):
    cache.save("colour", os.urandom(50_000).hex())  # large enough for a file of its own
    (value,) = cache_home.rglob("*.val")
    value.write_bytes(b"x")
    assert cache.load("colour") is None
    cache.save("colour", 1)
    assert cache.load("colour") == 1


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(cache_home, caplog):
    cache_home.touch()  # a file where the folder should be
    with caplog.at_level(logging.INFO):
        cache.save("colour", 1)
        assert cache.load("colour") is None
    assert not caplog.records


def test_only_values_of_json_are_saved():
    with pytest.raises(TypeError):
        cache.save("colour", object())
