"""The app: its page driven in a browser, and what it answers to requests that are no page's."""

import contextlib
import io
import json
import os
import socket
import threading
import urllib.error
import urllib.request
import zlib

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from ctxenc import launch
from ctxenc.errors import UserError
from tests.browser import asked_for, chromium
from tests.comparison.page.runs import HOSTILE
from tests.fake_runs import fake_run, fake_samples
from tests.programs import program, started
from tests.tiny import TINY

pytest.importorskip("uvicorn", reason="needs the extra app")
pytest.importorskip("starlette", reason="needs the extra app")

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
LONG = "x" * 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained run, and others that failed and were named by somebody else."""
    folder = tmp_path_factory.mktemp("app")
    with contextlib.chdir(folder):
        launch.run(*TINY, "mask=random", "max_steps=2", "name=trained")
    fake_samples(fake_run(folder / "experiments" / "other"))
    hostile = HOSTILE.replace("/", "&sol;")
    error = f"{HOSTILE} out of memory"
    fake_run(folder / "experiments" / hostile, 8.0, state="failed", error=error, seed=HOSTILE)
    fake_run(folder / "experiments" / LONG, state="interrupted")
    Image.fromarray(PHOTO).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def address(folder, temporary):
    """Of the server, in this process."""
    from ctxenc.window.server import application, server

    listening = socket.create_server(("127.0.0.1", 0))
    serving = server(application(str(folder / "experiments"), temporary))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    serving.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def wait_until(driver, script, *arguments):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 60, 0.1).until(lambda b: b.execute_script(script, *arguments))


def ask(address, body=None, **headers):
    """(status, content); `body` makes it a POST."""
    request = urllib.request.Request(address, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def refused(address, body=None):
    status, content = ask(address, body)
    assert status == 400
    return json.loads(content)["error"]


def drag(driver, *moves):
    """With the mouse over the hole's canvas, from a pixel of the photo to others."""
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = driver.find_element("id", "hole")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    wide, high = canvas.size["width"], canvas.size["height"]
    scale = wide / PHOTO.shape[1]
    pointer = ActionChains(driver, duration=0)
    for number, (x, y) in enumerate(moves):
        at = round(x * scale - wide / 2), round(y * scale - high / 2)
        pointer.move_to_element_with_offset(canvas, *at)
        if not number:
            pointer.click_and_hold()
    pointer.release().perform()


def test_a_hole_is_painted_and_filled_as_the_command_fills_it(browser, address, folder, tmp_path):
    for log in ("performance", "browser"):
        browser.get_log(log)  # of its start
    browser.get(address)
    wait_until(browser, "return document.querySelectorAll('#choose input').length == 4")
    renamed = """import('./paint.js').then((paint) => fetch('runs').then((a) => a.json()).then(
        ({ runs }) => { paint.choose(runs.map((run) => ({ ...run, run: `all/${run.run}` })));
            const first = document.querySelector('#choose label').textContent;
            paint.choose(runs); return first })).then(arguments[0])"""
    assert browser.execute_async_script(renamed).startswith("all/")
    gone = "import('./paint.js').then((paint) => paint.choose([], 'no answer')).then(arguments[0])"
    browser.execute_async_script(gone)
    assert len(browser.find_elements("css selector", "#choose input")) == 4
    browser.find_element("id", "file").send_keys(str(folder / "photo.png"))
    wait_until(browser, "return document.querySelector('#hole').width == 90")
    drag(browser, (70, 30))  # a dot of the brush
    drag(browser, (10, 10), (30, 50))
    browser.find_element("id", "undo").click()
    browser.find_element("css selector", "[data-tool=box]").click()
    drag(browser, (20, 10), (36, 22))
    browser.find_element("css selector", "[data-tool=erase]").click()
    drag(browser, (70, 30))  # rubs the dot out
    browser.execute_script("document.querySelector('#grow').value = 2")
    choose = """for (const label of document.querySelectorAll('#choose label'))
        label.firstChild.checked = label.textContent.startsWith('trained/')"""
    browser.execute_script(choose)
    browser.find_element("id", "fill").click()
    wait_until(browser, "return document.querySelectorAll('#fills a').length == 3")
    titles = browser.find_elements("css selector", "figcaption")
    assert [title.text for title in titles][1:] == ["Telea", "harmonic"]
    hrefs = "return [...document.querySelectorAll('#mask, #fills a')].map(link => link.href)"
    *fills, mask = (ask(link)[1] for link in browser.execute_script(hrefs))
    missing = np.asarray(Image.open(io.BytesIO(mask))) == 255
    rows, columns = np.mgrid[:60, :90]
    far = np.hypot(rows - rows.clip(10, 21), columns - columns.clip(20, 35))  # from the box
    np.testing.assert_array_equal(missing, far <= 2)
    for content in fills:
        filled = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_array_equal(filled[~missing], PHOTO[~missing])
        assert (filled[missing] != PHOTO[missing]).mean() > 0.9
    (tmp_path / "mask.png").write_bytes(mask)
    (run,) = (folder / "experiments" / "trained").iterdir()
    given = ("--mask", tmp_path / "mask.png", "-o", tmp_path / "out.png")
    program("inpaint", run, folder / "photo.png", *given)
    assert fills[0] == (tmp_path / "out.png").read_bytes()
    assert own_alone(browser, address)


def own_alone(browser, address):
    """Whether it asked this server alone, and had nothing to complain of."""
    asked = [url for url in asked_for(browser) if not url.startswith(("data:", "blob:"))]
    assert [url for url in asked if not url.startswith(f"{address}/")] == []
    assert browser.get_log("browser") == []
    return asked


def test_hostile_runs_do_nothing_and_chosen_ones_are_compared(browser, address):
    browser.get(f"{address}/#runs")
    wait_until(browser, "return document.querySelectorAll('#list tbody tr').length == 4")
    texts = [row.text for row in browser.find_elements("css selector", "#list tbody tr")]
    assert HOSTILE.replace("/", "&sol;") in texts[0]  # failed: the most telling
    assert f"{HOSTILE} out of memory" in texts[0]
    assert any(LONG in text for text in texts)
    browser.find_element("css selector", "#list td button").click()
    wait_until(browser, "return document.querySelector('#one').open && curves.naturalWidth > 100")
    assert HOSTILE in browser.find_element("id", "card").text  # its seed
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    browser.find_element("css selector", "dialog button").click()
    browser.find_element("id", "all").click()
    browser.find_element("id", "compare").click()
    browser.switch_to.window(browser.window_handles[-1])
    wait_until(browser, "return document.querySelectorAll('main table tbody tr').length > 1")
    assert browser.execute_script("return window.hacked") is None
    assert own_alone(browser, address)
    browser.close()
    browser.switch_to.window(browser.window_handles[0])


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_masks_are_shown_on_any_screen_and_a_bad_option_is_one_line(
    browser, address, width, scheme
):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"{address}/?{width}#masks")
    wait_until(browser, "return !sheet.hidden && sheet.naturalWidth > 100")
    (first,) = (url for url in asked_for(browser) if "/masks/region/sheet" in url)
    assert first.partition("?")[2] == f"columns={4 if width < 500 else 8}&image_size=32"
    shown = browser.execute_script("return sheet.naturalWidth")
    columns = 4 if width < 500 else 8
    assert shown == columns * (32 + 2) * 3 + 2 * 3 + 16
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    style = "return getComputedStyle(document.documentElement).backgroundColor"
    assert (browser.execute_script(style) == "rgb(255, 255, 255)") == (scheme == "light")
    move = """const slider = document.querySelector('[name=min_area]'); slider.value = 0.9;
        slider.dispatchEvent(new Event('input', {bubbles: true}))"""
    browser.execute_script(move)
    line = "document.querySelector('#masks-error').textContent"
    wait_until(browser, f"return {line}")
    assert browser.execute_script(f"return {line}").startswith("mask.min_area=0.9")
    complaints = browser.get_log("browser")  # of the answer 400 alone
    assert [c for c in complaints if "400 (Bad Request)" not in c["message"]] == []
    assert asked_for(browser)


HOLD = """const asked = window.fetch; window.held = [];
    window.fetch = (address, options) => /card|options|sheet/.test(address)
        ? new Promise((go) => held.push([address, (text) => go(new Response(text))]))
        : asked(address, options)"""


def answer(driver, number, text):
    """Answer the request of that number, of those that are held, and see what the page does."""
    script = "held[arguments[0]][1](arguments[1]); setTimeout(arguments[2], 200)"
    driver.execute_async_script(script, number, text)


def test_a_late_answer_opens_no_run_that_was_closed_and_none_beside_another(browser, address):
    browser.get(f"{address}/?late#runs")
    wait_until(browser, "return document.querySelectorAll('#list tbody tr').length == 4")
    browser.execute_script(HOLD)
    name = "document.querySelectorAll('#list td button')[{}].click()"
    browser.execute_script(name.format(0) + ";" + name.format(1))
    answer(browser, 1, "the second")
    answer(browser, 0, "the first")
    assert browser.execute_script("return [one.open, card.textContent]") == [True, "the second"]
    browser.execute_script(name.format(1) + ";one.close()")
    answer(browser, 2, "too late")
    assert not browser.execute_script("return one.open")


def test_a_mask_is_not_shown_with_the_options_of_the_one_chosen_before(browser, address):
    browser.get(f"{address}/?options#masks")
    wait_until(browser, "return !sheet.hidden && sheet.naturalWidth > 100")
    browser.execute_script(HOLD)
    choose = "strategy.value = '{}'; strategy.dispatchEvent(new Event('change'));"
    browser.execute_script(choose.format("center") + choose.format("random"))
    answer(browser, 1, '{"its_own": 1}')
    answer(browser, 0, '{"anothers": 1}')
    names = "return [...document.querySelectorAll('#options input')].map(input => input.name)"
    assert browser.execute_script(names) == ["its_own"]


def test_options_are_those_of_the_chosen_size_and_a_moved_one_stays(browser, address):
    browser.get(f"{address}/?size#masks")
    wait_until(browser, "return !sheet.hidden && sheet.naturalWidth > 100")
    found = "return document.querySelector('#options [name=mask_{}]')?.value"
    set_to = "{0}.value = '{1}'; {0}.dispatchEvent(new Event('{2}', {{bubbles: true}}));"
    browser.execute_script(set_to.format("strategy", "center", "change"))
    wait_until(browser, f"{found.format('height')} == 16")
    width = "document.querySelector('[name=mask_width]')"
    browser.execute_script(set_to.format(width, 10, "input"))
    browser.execute_script(set_to.format("image_size", 64, "change"))
    wait_until(browser, f"{found.format('height')} == 32")
    assert browser.execute_script(found.format("width")) == "10"
    assert "10" in browser.execute_script(f"return {width}.parentElement.textContent")
    wait_until(browser, f"return sheet.naturalWidth >= 4 * {64 * 3}")
    sheets = [url.partition("?")[2] for url in asked_for(browser) if "/center/sheet" in url]
    assert sheets[-1].endswith("image_size=64&mask_width=10")
    assert "image_size=x: expected" in refused(f"{address}/masks/center/options?image_size=x")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_hole_is_made_by_the_keyboard_alone(browser, address, folder, width):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(f"{address}/?{width}#paint")
    browser.find_element("id", "file").send_keys(str(folder / "photo.png"))
    wait_until(browser, "return document.querySelector('#hole').width == 90")
    fill = browser.find_element("id", "fill")
    assert not fill.is_enabled()
    browser.execute_script("document.querySelector('summary').focus()")
    pressed = ActionChains(browser, duration=0).send_keys(Keys.ENTER)
    for number in (20, 10, 16, 12):
        pressed.send_keys(Keys.TAB).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL)
        pressed.send_keys(str(number))
    pressed.send_keys(Keys.TAB, Keys.ENTER).perform()
    assert fill.is_enabled()
    found = """const { data } = hole.getContext('2d').getImageData(0, 0, 90, 60);
        return [...data].filter((_, at) => at % 4 == 3)"""
    painted = np.reshape(browser.execute_script(found), (60, 90)) > 0
    expected = np.zeros((60, 90), bool)
    expected[10:22, 20:36] = True
    np.testing.assert_array_equal(painted, expected)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    pressed = ActionChains(browser, duration=0).key_down(Keys.SHIFT)
    pressed.send_keys(Keys.TAB).key_up(Keys.SHIFT).send_keys("99", Keys.ENTER).perform()
    browser.find_element("id", "undo").click()  # the height of 1299 was refused
    assert not fill.is_enabled()


def bomb(width, height):
    """A PNG of a few bytes that says it is that large."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0]))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    )


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, format="PNG")
    return out.getvalue()


def test_uploads_are_bounded_and_what_is_wrong_is_one_line(address, folder, temporary):
    before, kept = sorted(folder.rglob("*")), sorted(temporary.iterdir())
    assert refused(f"{address}/photos", b"no photo") == "photo: not an image that can be read here"
    line = refused(f"{address}/photos", bomb(5000, 5000))
    assert line.startswith("photo: 5000×5000 pixels; expected at most 16 million")
    assert refused(f"{address}/photos", bytes(2**26 + 1)).startswith("more than 64 MiB")
    assert sorted(temporary.iterdir()) == kept
    photo = json.loads(ask(f"{address}/photos", png(PHOTO[..., 0]))[1])
    masks = f"{address}/photos/{photo['id']}/masks?grow=0"
    assert "nothing is missing" in refused(masks, png(np.zeros((60, 90), np.uint8)))
    assert refused(f"{masks[:-1]}x", b"") == ("grow=x: expected a whole number of pixels")
    box = np.zeros((60, 90), np.uint8)
    box[10:20, 10:20] = 255
    mask = json.loads(ask(masks, png(box))[1])["id"]
    fill = f"{address}/photos/{photo['id']}/{mask}/fill?by="
    assert refused(f"{fill}../../x", b"").startswith("../../x: no such run here")
    assert json.loads(ask(f"{fill}harmonic", b"")[1])["said"] == "1.9 % missing"
    (run,) = (r for r in json.loads(ask(f"{address}/runs")[1])["runs"] if r["run"] == "other")
    other = folder / "experiments" / "other"
    arguments = (other, folder / "photo.png", "--box", "1,1,5,5", "-o", temporary / "out.png")
    line = refused(f"{fill}{run['id']}", b"")
    assert started("inpaint", *arguments).stderr == f"ctxenc.inpaint: {line}\n"
    mask = json.loads(ask(masks, png(box[:50]))[1])["id"]
    fill = f"{address}/photos/{photo['id']}/{mask}/fill?by="
    assert (
        refused(f"{fill}telea", b"") == "mask.png: 90×50 pixels; expected 90×60, as the photo has"
    )
    assert sorted(folder.rglob("*")) == before  # nothing is written but in the temporary folder


def test_a_run_that_has_trained_on_fills_by_its_new_best_wherever_its_checkpoints_are(
    tmp_path, monkeypatch
):
    from ctxenc.window import paint

    run = fake_run(tmp_path / "run")
    run.write_config(OmegaConf.create({"save_dir": "models"}))
    loaded = []
    model = object.__new__(paint.TrainedModel)
    monkeypatch.setattr(paint, "_model", lambda *key: loaded.append(key) or model)
    (run.path / "models").mkdir()
    paint._loaded(run.path)
    os.utime(run.path / "models", (1, 1))
    paint._loaded(run.path)
    assert len(set(loaded)) == 2


def test_an_option_that_is_true_or_false_can_be_set(monkeypatch):
    from ctxenc.window import masks

    tab, drawn = masks.Masks([]), []
    monkeypatch.setattr(masks.Masks, "options", lambda *_: {"thick": True})
    monkeypatch.setattr(masks.contact_sheet, "draw", lambda given, *_: drawn.append(given))
    with pytest.raises(AttributeError):  # there is no sheet to save
        tab.sheet([("columns", "8"), ("thick", "false")], "strokes")
    assert drawn[0][-1] == "mask.thick=false"
    with pytest.raises(UserError, match=r"mask\.thick=no: expected a number"):
        tab.sheet([("columns", "8"), ("thick", "no")], "strokes")


@pytest.mark.parametrize("path", ["/photos/../../photo.png", "/photos//etc/passwd", "/../app.py"])
def test_no_other_file_is_served(address, path):
    with socket.create_connection(address.removeprefix("http://").split(":")) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert answer.split(b" ")[1] in (b"400", b"404")


def test_other_pages_and_other_names_are_refused(address):
    assert ask(f"{address}/runs")[0] == 200
    assert ask(f"{address}/runs", Origin=address)[0] == 200
    assert ask(f"{address}/runs", Origin="http://elsewhere.example")[0] == 403
    assert ask(f"{address}/photos", b"x", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert ask(f"{address}/", Host="elsewhere.example")[0] == 400  # a name made to lead here


def test_bad_input_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = started("app", "--port", port, cwd=tmp_path)
    assert done[:2] == (1, "")
    assert done.stderr == (
        f"ctxenc.app: --port {port}: Address already in use; expected a free port, or 0 for any\n"
    )
    done = started("app", "--port", 0, "--data", "dataset=nope", cwd=tmp_path)
    assert done[:2] == (1, "")
    assert done.stderr.startswith("ctxenc.app: dataset=nope: expected")
    assert not list(tmp_path.iterdir())
