"""The page of a comparison, driven in a browser."""

import pytest

from ctxenc.comparison import comparison_table, page, paired, sections
from ctxenc.comparison.records import load
from tests.browser import asked_for, chromium
from tests.comparison.page.runs import HOSTILE, fill
from tests.fake_runs import fake_run, fake_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def opened(browser, folder, tmp_path):
    return show(browser, folder, tmp_path, group_by=())  # a row a run, though their seeds differ


def show(browser, folder, tmp_path, **options):
    found = sections.compare(load([folder]), **options)
    pairs, _ = paired.tables(found)
    file = tmp_path / "page.html"
    page.save(file, found, comparison_table.tables(found, pairs))
    browser.get(file.as_uri())
    browser.execute_script("document.querySelector('.curves')?.scrollIntoView()")
    wait_until(browser, "return document.querySelectorAll('.curves svg.main-svg').length > 0")
    return browser


def wait_until(browser, script):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda b: b.execute_script(script))


def names(browser):
    script = """return [...document.querySelector('main table').tBodies[0].rows]
        .map(row => row.cells[0].textContent)"""
    return browser.execute_script(script)


def wait_for_names(browser, part, expected):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda b: names(b)[part] == expected)


def click(browser, css, position=0):
    elements = browser.find_elements("css selector", css)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", elements[position])
    elements[position].click()


def traces(browser):
    """The names of the curves of the first plot, and the values of each."""
    script = """return document.querySelector('.curves .plot').data.map(t => [t.name, [...t.y]])"""
    return dict(browser.execute_script(script))


def test_a_header_sorts_and_sorts_back_with_the_keyboard_too(opened):
    from selenium.webdriver.common.keys import Keys

    assert names(opened)[:3] == ["2", "0", "1"]  # best first
    heads = opened.find_elements("css selector", "main table thead tr:last-child th")
    column = [head.text.strip() for head in heads].index("PSNR dB")
    click(opened, "main table thead tr:last-child th", column)
    wait_for_names(opened, slice(3), ["2", "0", "1"])  # numbers: largest first
    heads[column].find_element("css selector", "[role=button]").send_keys(Keys.ENTER)
    wait_for_names(opened, slice(-3, None), ["1", "0", "2"])
    assert heads[column].get_attribute("aria-sort") == "ascending"
    click(opened, "main table thead tr:last-child th", 0)
    wait_for_names(opened, slice(-3, None), ["0", "1", "2"])


def test_a_table_is_searched_and_its_columns_are_chosen(opened):
    opened.find_element("css selector", ".dt-search input").send_keys("random")
    assert names(opened) == ["No matching records found"]
    opened.find_element("css selector", ".dt-search input").clear()
    opened.find_element("css selector", ".dt-search input").send_keys("17.25")
    wait_until(opened, "return document.querySelector('main table').tBodies[0].rows.length == 1")
    assert names(opened) == ["2"]
    heads = "return document.querySelector('main table').tHead.innerText.includes('pooled PSNR')"
    assert not opened.execute_script(heads)  # minor
    click(opened, ".buttons-colvis", 0)
    wait_until(opened, "return document.querySelectorAll('.buttons-columnVisibility').length > 5")
    (pooled,) = [
        button
        for button in opened.find_elements("css selector", ".buttons-columnVisibility")
        if button.text == "pooled PSNR dB"
    ]
    pooled.click()
    wait_until(opened, heads)


def test_two_selected_rows_show_what_differs_and_latex_has_them_alone(opened):
    rows = "main table tbody tr"
    click(opened, f"{rows} td", 0)
    assert opened.find_element("css selector", ".chosen").text == ""
    second = opened.find_elements("css selector", rows)[1]
    second.find_elements("css selector", "td")[0].click()
    chosen = opened.find_element("css selector", ".chosen")
    assert chosen.text.split("\n")[:3] == ["1 key differs", "key 2 0", "seed 2 0"]
    click(opened, ".dt-buttons button:last-child", 0)
    lines = copied(opened).split("\n")
    assert lines[1] == "\\toprule"
    assert lines[2].startswith("run & seed & PSNR dB")
    assert [line.split(" & ")[0] for line in lines[4:-2]] == ["2", "0"]
    assert r"\textbf{17.25}" in lines[4]


def test_rows_are_selected_with_the_keyboard_and_tab_leaves_the_table(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        ActionChains(opened).send_keys(*keys).perform()

    inside = "return document.querySelector('main table tbody').contains(document.activeElement)"
    opened.execute_script("document.querySelector('main table thead [tabindex]').focus()")
    for _ in range(20):
        press(Keys.TAB)
        if opened.execute_script(inside):
            break
    press(Keys.SPACE, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.ENTER)
    chosen = opened.find_element("css selector", ".chosen")
    assert chosen.text.split("\n")[:3] == ["1 key differs", "key 2 0", "seed 2 0"]
    press(Keys.SPACE)
    assert chosen.text == ""
    for _ in names(opened):
        press(Keys.TAB)
    assert not opened.execute_script(inside)


def copied(browser):
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    read_back = "navigator.clipboard.readText().then(arguments[0], e => arguments[0](String(e)))"
    return browser.execute_async_script(read_back)


def test_one_figure_is_drawn_against_another_with_its_front(opened):
    drawn = "return document.querySelector('.scatter .plot').data?.map(t => [[...t.x], [...t.y]])"
    opened.execute_script("document.querySelector('.scatter').scrollIntoView()")
    wait_until(opened, drawn)
    front, points = opened.execute_script(drawn)
    assert points == [[16.25, 14.0, 8.5, 7.0], [17.25, 15.0, 9.5, 8.0]]  # sharpness and PSNR
    assert front == [[7.0, 8.5, 14.0, 16.25], [8.0, 9.5, 15.0, 17.25]]  # sharpness should be near 1
    choose = """const select = document.querySelector(`.scatter [name=${arguments[0]}]`);
        select.value = arguments[1]; select.dispatchEvent(new Event('change', {bubbles: true}))"""
    opened.execute_script(choose, "x", "seed")
    front, points = opened.execute_script(drawn)
    assert points[0][:3] == ["2", "0", "1"]
    assert "<" not in points[0][3]
    assert front == [[], []]
    opened.execute_script(choose, "x", "validation.last.ssim")
    assert opened.execute_script(drawn)[0] == [[0.1725], [17.25]]


def test_what_is_brushed_on_an_axis_is_kept(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    plot = opened.find_element("css selector", ".parallel .plot")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    wait_until(opened, "return document.querySelector('.parallel .plot').data !== undefined")
    place = """const plot = document.querySelector('.parallel .plot');
        const {xaxis, yaxis} = plot._fullLayout;
        return [xaxis._offset + xaxis.d2p(arguments[0]), yaxis._offset + yaxis.d2p(arguments[1])]"""
    axis = 1  # of PSNR: the best run is at its top
    left, top = opened.execute_script(place, axis - 0.2, 1.04)
    right, bottom = opened.execute_script(place, axis + 0.2, 0.9)
    half = plot.size["width"] / 2, plot.size["height"] / 2
    start = ActionChains(opened).move_to_element_with_offset(plot, left - half[0], top - half[1])
    start.click_and_hold().move_by_offset(right - left, bottom - top).release().perform()
    opacity = "return document.querySelector('.parallel .plot').data.map(t => t.opacity ?? 1)"
    wait_until(opened, opacity.replace("?? 1)", "?? 1).includes(0.08)"))
    assert opened.execute_script(opacity) == [1, 0.08, 0.08, 0.08]


def test_metrics_and_runs_can_be_chosen(opened):
    shown = traces(opened)
    assert shown["seed=2"] == [17.75, 17.25]
    assert shown["context mean"] == [12.0, 12.0]
    opened.execute_script(
        """const select = document.querySelector('.curves select'); select.value = 'l1_percent';
        select.dispatchEvent(new Event('change', {bubbles: true}))"""
    )
    assert traces(opened)["seed=2"] == [12.25, 12.75]
    click(opened, ".legend [aria-pressed]", 0)
    assert "seed=2" not in traces(opened)
    assert "seed=0" in traces(opened)
    click(opened, "[data-every=false]")
    assert set(traces(opened)) == {"context mean", "mean colour"}
    click(opened, "[data-every=true]")
    assert len(traces(opened)) == 6


def test_a_hostile_run_is_shown_as_it_is_and_does_nothing(opened):
    assert opened.execute_script("return window.hacked") is None
    hostile = HOSTILE.replace("/", "&sol;")
    assert hostile in names(opened)
    assert HOSTILE in opened.find_element("id", "trouble").text
    assert opened.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    # Even what is written past the escaping does not run.
    opened.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", HOSTILE)
    opened.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        "document.body.append(s)"
    )
    assert opened.execute_script("return window.hacked") is None


def test_nothing_is_fetched_and_nothing_goes_wrong(opened):
    for log in ("performance", "browser"):
        opened.get_log(log)  # of the browser's start and of the tests before
    opened.refresh()
    wait_until(opened, "return document.querySelectorAll('.curves svg.main-svg').length > 0")
    opened.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    urls = asked_for(opened)
    assert any(url.endswith("page.html") for url in urls)
    assert all(url.startswith(("file:", "data:", "blob:")) for url in urls)
    assert opened.get_log("browser") == []


def test_samples_are_below_each_other_and_enlarge(opened):
    lefts = opened.execute_script(
        """return [...document.querySelectorAll('.samples')[0].querySelectorAll('img')]
        .map(image => image.getBoundingClientRect()).map(r => [r.left, r.width])"""
    )
    assert len(lefts) == 5  # real, masked and three runs
    assert len({tuple(place) for place in lefts}) == 1
    click(opened, ".strip.filled button", 1)
    caption = "return document.querySelector('dialog figure:last-child').textContent"
    assert opened.execute_script(caption) == "seed=0, step 100"
    shapes = opened.execute_script(
        "return [...document.querySelectorAll('dialog img')].map(i => i.width / i.height)"
    )
    assert shapes == pytest.approx([100 / 32] * 3, rel=0.02)
    click(opened, "[data-by='1']")
    assert opened.execute_script(caption) == "seed=1, step 100"


def test_copy_copies_the_command(opened):
    click(opened, ".command button", 0)
    wait_until(opened, "return document.querySelector('.command button').textContent == 'Copied'")
    assert copied(opened) == "python -m ctxenc.train seed=2 'x=a b'"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen(opened, width, scheme):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        opened.refresh()
        wait_until(opened, "return document.querySelectorAll('.curves svg.main-svg').length > 0")
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
        style = "return getComputedStyle(document.documentElement).backgroundColor"
        light = opened.execute_script(style) == "rgb(255, 255, 255)"
        assert light == (scheme == "light")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_setting_has_one_curve_with_a_band_and_one_row_of_samples(browser, tmp_path):
    for weight, psnrs in {0.0: (15.0, 16.0, 17.0), 0.1: (14.0,)}.items():
        for seed, psnr in enumerate(psnrs):
            run = fake_run(tmp_path / f"{weight}-{seed}", psnr, lambda_adv=weight, seed=seed)
            fake_samples(run)
    show(browser, tmp_path, tmp_path)
    assert traces(browser)["lambda_adv=0"] == [16.5, 16.0]
    script = """return document.querySelector('.curves .plot').data.filter(t => t.fill === 'toself')
        .map(t => [t.name, [...t.x], [...t.y]])"""
    (band,) = browser.execute_script(script)
    assert band == ["lambda_adv=0", [50, 100, 100, 50], [17.5, 17.0, 15.0, 15.5]]
    captions = browser.find_elements("css selector", ".filled > div")
    first = "lambda_adv=0\nseed=0 · validation PSNR 15.00 dB · step 100"
    assert [caption.text.split("\n")[0] for caption in captions] == [
        "lambda_adv=0",
        "lambda_adv=0.1",
    ]
    assert captions[0].text == first
    click(browser, ".legend [aria-pressed]", 0)
    assert browser.execute_script(script) == []
