"""The page in headless Chromium, from disk, without a network."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from motion_toys import FPS, make_motion, standing, walk

from vid3d.render.page import write_page
from vid3d.video import VideoWriter

FRAMES = 60
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Mesa is ten times as fast as Chromium's own software renderer, where it is installed.
RENDERERS = (
    ["--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist"],
    ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
)
HAS_WEBGL = "() => document.createElement('canvas').getContext('webgl2') !== null"
EVIL = "</script><img src=x onerror=alert(1)>.mp4"


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium found (looked for {', '.join(NAMES)})")
    with sync_api.sync_playwright() as playwright:
        for arguments in RENDERERS:
            chromium = playwright.chromium.launch(executable_path=path, args=arguments)
            if chromium.new_page().evaluate(HAS_WEBGL):
                break
            chromium.close()
        else:
            pytest.skip(f"{path} has no WebGL here")
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A motion and its film; a white bar's place says which frame it is."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    motion = walk(FRAMES)
    with VideoWriter(path, FPS, (640, 480)) as writer:
        for frame in range(FRAMES):
            image = np.zeros((480, 640, 3), np.uint8)
            image[:, 10 * frame : 10 * frame + 10] = 255
            writer.write(image)
    return replace(motion, meta={"fps": FPS, "source": {"name": EVIL}}), path


@pytest.fixture
def open_page(browser):
    """Opens a page offline; whatever it complains of or fetches fails the test."""
    contexts, complaints = [], []

    def note(request):
        if not request.url.startswith(("file:", "blob:", "data:")):
            complaints.append(request.url)

    def opened(path, **options):
        size = {"width": 800, "height": 600}
        context = browser.new_context(**{"viewport": size, "offline": True, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", note)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def embedded(clip, tmp_path_factory):
    motion, video = clip
    return write_page(motion, tmp_path_factory.mktemp("page") / "a page.html", video)


def scrub(page, frame):
    """Move the slider and wait until the page says so."""
    script = """value => {
        const slider = document.getElementById('scrub');
        slider.value = value;
        slider.dispatchEvent(new Event('input', { bubbles: true }));
    }"""
    page.evaluate(script, frame)
    wait_for_frame(page, frame)


def wait_for_frame(page, frame):
    page.wait_for_function(
        "frame => document.getElementById('time').textContent.endsWith(`frame ${frame}`)",
        arg=frame,
        timeout=15_000,
    )


def picture(page, selector):
    """What is drawn there, BGR."""
    data = np.frombuffer(page.locator(selector).screenshot(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)


def test_page_draws_scrubs_and_keeps_the_video_in_step(open_page, embedded):
    page = open_page(embedded)
    assert page.title() == f"{EVIL} – vid3d"
    assert page.text_content("#title") == EVIL
    assert page.text_content("#message") == ""
    scrub(page, 10)
    first = picture(page, "#view")
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50  # lit bodies, not a blank canvas
    scrub(page, 48)
    assert (np.abs(picture(page, "#view") - first).max(-1) > 30).sum() > 200
    page.wait_for_function("() => !document.getElementById('video').seeking")
    page.uncheck("#layer-overlay")
    film = picture(page, "#film")
    bar = np.flatnonzero(film[film.shape[0] // 2].min(-1) > 128).mean() / film.shape[1]
    assert bar == pytest.approx((48 + 0.5) / 64, abs=0.008)  # half of a bar's width


@pytest.mark.parametrize(("slope", "seen"), [(1.8, False), (0.3, True)])
def test_what_a_lens_does_not_show_is_not_drawn(open_page, clip, tmp_path, slope, seen):
    """At a slope of 1.8, r (1 - 0.3 r^2) is 0.05: the middle of the picture."""
    joints = standing(np.full((1, 3, 2), (slope, 1.0)))
    motion = make_motion(joints, meta={"fps": FPS, "dist": [-0.3, 0.0, 0.0, 0.0]})
    page = open_page(write_page(motion, tmp_path / "page.html", clip[1]))
    scrub(page, 1)
    page.wait_for_function("() => !document.getElementById('video').seeking")
    shown = picture(page, "#film")
    page.uncheck("#layer-overlay")
    changed = np.abs(picture(page, "#film") - shown).max(-1) > 30
    assert (changed.sum() > 50) == seen


def wait_for_readout(page, words):
    """The words under the curve follow with the next drawn frame."""
    page.wait_for_function(
        "words => document.getElementById('readout').textContent.includes(words)", arg=words
    )


def test_keys_buttons_and_boxes(open_page, embedded):
    page = open_page(embedded)
    page.keyboard.press("ArrowRight")
    wait_for_frame(page, 1)
    page.keyboard.press("]")
    wait_for_frame(page, 5)
    page.keyboard.press("Alt+[")  # with Option, as on a German Mac
    wait_for_frame(page, 0)
    page.keyboard.press("Alt+]")
    wait_for_frame(page, 5)
    page.click("#key-forth")
    wait_for_frame(page, 10)
    page.keyboard.press("Shift+ArrowRight")
    wait_for_frame(page, 10 + FPS)
    page.keyboard.press("End")
    wait_for_frame(page, FRAMES - 1)
    page.keyboard.press("Home")
    wait_for_frame(page, 0)
    before = picture(page, "#view")
    page.keyboard.press("1")
    assert not page.locator("#people input").first.is_checked()
    wait_for_readout(page, "Person 2")
    page.wait_for_timeout(300)
    assert (np.abs(picture(page, "#view") - before).max(-1) > 30).any()
    page.click("[aria-label='Follow Person 2']")
    assert page.get_attribute("[aria-label='Follow Person 2']", "aria-pressed") == "true"
    page.keyboard.press("Shift+F")  # as with Caps Lock: nobody after the last
    assert page.get_attribute("[aria-label='Follow Person 2']", "aria-pressed") == "false"
    page.select_option("#quantity", label="Knee flexion")
    wait_for_readout(page, "left")
    turned = picture(page, "#view")
    page.focus("#view")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert (np.abs(picture(page, "#view") - turned).max(-1) > 30).any()
    wait_for_frame(page, 0)  # the arrows turned the view, not the time


def test_one_second_on_goes_over_longer_gaps(open_page, tmp_path):
    motion = replace(walk(4), timestamps=np.array([0, 0.1, 5.2, 5.3]))
    page = open_page(write_page(motion, tmp_path / "page.html"))
    for frame in (1, 2, 3):
        page.keyboard.press("Shift+ArrowRight")
        wait_for_frame(page, frame)
    for frame in (1, 0):
        page.keyboard.press("Shift+ArrowLeft")
        wait_for_frame(page, frame)


def figure(page):
    """Rows and columns of the 3D view's coloured pixels within its rim and buttons, as shares."""
    seen = picture(page, "#view")
    height, width = seen.shape[:2]
    coloured = np.argwhere(seen.max(-1) - seen.min(-1) > 60) / (height, width)
    return coloured[(np.abs(coloured - (0.45, 0.5)) < (0.43, 0.48)).all(-1)]


@pytest.fixture
def open_figure(open_page, tmp_path):
    """Opens a page of people before a camera that looks down by a tilt: limbs alone."""

    def opened(distances, tilt=0):
        joints = standing([[(0, distance)] * 3 for distance in distances], tilt)
        page = open_page(write_page(make_motion(joints), tmp_path / "page.html"))
        for layer in ("names", "paths", "feet"):
            page.uncheck(f"#layer-{layer}")
        page.wait_for_timeout(300)
        return page

    return opened


def test_page_up_goes_nearer_and_page_down_away(open_figure):
    page = open_figure([4])
    page.focus("#view")
    sizes = [len(figure(page))]
    for key in ("PageUp", "PageDown", "PageDown"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        sizes.append(len(figure(page)))
    start, near, back, away = sizes
    assert near > 1.1 * start
    assert back == pytest.approx(start, rel=0.02)
    assert away < 0.9 * start


@pytest.mark.parametrize("tilt", [10, -12])
def test_as_filmed_is_as_filmed_where_the_camera_looks_up_too(open_figure, tilt):
    """The near one's hands, of which nothing is farther out, lie 4 cm below the camera."""
    page = open_figure([2.5, 20], tilt)
    page.click("[data-view=film]")
    page.wait_for_timeout(300)
    rows, columns = figure(page).T
    below = np.arctan2(0.04, 2.5) - np.radians(tilt)
    expected = 0.5 + 320 / np.tan(np.radians(27.5)) * np.tan(below) / 480  # 55 degrees across
    assert rows[columns < columns.min() + 0.01].mean() == pytest.approx(expected, abs=0.015)


def test_it_plays_with_and_without_a_video(open_page, embedded, clip, tmp_path):
    alone = write_page(clip[0], tmp_path / "alone.html")
    for path in (embedded, alone):
        page = open_page(path)
        page.uncheck("#loop")
        page.select_option("#speed", "4")
        page.click("#play")
        wait_for_frame(page, FRAMES - 1)
        page.wait_for_selector("#play[aria-label=Play]", state="attached")
    assert page.locator("#film").is_hidden()


COUNT_BEFORE_SEEKS = """() => {
    const video = document.getElementById('video');
    const time = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'currentTime');
    let passed = 0;
    window.waited = [];
    const count = () => { passed++; requestAnimationFrame(count); };
    count();
    video.pause = () => { passed = 0; HTMLMediaElement.prototype.pause.call(video); };
    Object.defineProperty(video, 'currentTime', {
        get: () => time.get.call(video),
        set: seconds => { waited.push(passed); time.set.call(video, seconds); },
    });
}"""


def test_a_paused_video_is_sought_after_its_last_picture_is_on_the_screen(open_page, embedded):
    """Else Chromium now and then keeps that picture: one in ten times, or half of them at an end.

    A whole animation frame passes in between, where one beside another was too few.
    """
    page = open_page(embedded)
    page.evaluate(COUNT_BEFORE_SEEKS)
    for button in ("#play", "#forth"):
        page.click("#play")
        page.wait_for_timeout(200)
        page.evaluate("waited.length = 0")
        page.click(button)
        page.wait_for_function("() => waited.length > 0")
        assert page.evaluate("Math.min(...waited)") >= 1
        page.wait_for_function("() => !document.getElementById('video').seeking")


def test_what_the_fields_show_holds_after_coming_back(open_page, embedded, tmp_path):
    page = open_page(embedded)
    page.select_option("#speed", "4")
    page.uncheck("#loop")
    page.check("#muted")
    other = tmp_path / "other.html"
    other.write_text("Another page", encoding="utf-8")
    page.goto(other.as_uri())
    page.go_back()
    page.wait_for_selector("html[data-ready]")
    video = page.evaluate("(({playbackRate, muted}) => [playbackRate, muted])(video)")
    assert video == [float(page.input_value("#speed")), page.is_checked("#muted")]
    page.click("#play")
    if not page.is_checked("#loop"):
        wait_for_frame(page, FRAMES - 1)
        page.wait_for_selector("#play[aria-label=Play]", state="attached")


COUNT_FLOATS = """
    window.floats = 0;
    Float32Array = new Proxy(Float32Array, {
        construct(type, given) {
            if (typeof given[0] === 'number') window.floats += 4 * given[0];
            return Reflect.construct(type, given);
        }
    });
"""


def passers_by(people, stay=FPS):
    """People of whom each is in sight for some frames, after the one before."""
    joints = np.full((people, people * stay, 17, 3), np.nan)
    path = np.stack([np.linspace(-1, 1, stay), np.full(stay, 4.0)], -1)
    for person in range(people):
        joints[person, person * stay : (person + 1) * stay] = standing([path])[0]
    return make_motion(joints)


def test_people_cost_memory_only_while_they_are_in_sight(browser, tmp_path):
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.add_init_script(COUNT_FLOATS)
    page.goto(write_page(passers_by(40), tmp_path / "street.html").as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    assert page.evaluate("floats") < 4e6  # all frames of everybody: 16e6
    away = picture(page, "#view")
    scrub(page, 39 * FPS)  # the last one comes, and everybody else is gone
    page.wait_for_timeout(300)
    assert (np.abs(picture(page, "#view") - away).max(-1) > 30).any()
    page.close()


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((0, 59.9958, 3725.5), ("0:00.00", "1:00.00", "1:02:05.50")),
        ((111600, 111600.04, 111605), ("31:00:00.00", "31:00:00.04", "31:00:05.00")),
    ],
)
def test_times_in_words(open_page, tmp_path, times, words):
    motion = replace(walk(3), timestamps=np.array(times))
    page = open_page(write_page(motion, tmp_path / "page.html"))
    for frame in range(3):
        scrub(page, frame)
        assert page.text_content("#time") == f"{words[frame]} / {words[2]} · frame {frame}"


@pytest.fixture
def windows(open_page, tmp_path):
    """A page whose curves show 3 of 4 seconds at a time."""
    page = open_page(write_page(passers_by(4), tmp_path / "page.html"))
    page.select_option("#span", "3")
    return page


def test_the_line_of_the_present_goes_with_the_window_of_the_curves(windows):
    where = """() => new DOMMatrix(document.querySelector('.playhead').style.transform).m41
        / document.querySelector('#chart .u-over').clientWidth"""
    for frame, share in ((99, 0.96 / 3), (70, 2.8 / 3)):
        scrub(windows, frame)
        windows.wait_for_timeout(100)
        assert windows.evaluate(where) == pytest.approx(share, abs=0.01)


def test_a_drag_past_the_edge_of_the_curves_stays_at_it(windows):
    plot = windows.locator("#chart .u-over")
    plot.scroll_into_view_if_needed()
    chart = plot.bounding_box()
    middle, row = chart["x"] + chart["width"] / 2, chart["y"] + 80
    for start, edge, way, end in ((20, chart["width"], 1, 75), (90, 0, -1, 75)):
        scrub(windows, start)
        windows.wait_for_timeout(100)
        windows.mouse.move(middle, row)
        windows.mouse.down()
        for beyond in (4, 8, 12):
            windows.mouse.move(chart["x"] + edge + way * beyond, row)
            windows.wait_for_timeout(100)
            wait_for_frame(windows, end)
        windows.mouse.up()


NOTE_WORDS = """
    window.words = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
        if (this.canvas.closest('#chart')) window.words.push(text);
        write.call(this, text, ...at);
    };
"""


def test_times_under_the_curves_of_a_short_clip_differ(browser, tmp_path):
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.add_init_script(NOTE_WORDS)
    page.goto(write_page(walk(6), tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.evaluate("words.length = 0")
    page.select_option("#quantity", label="Knee flexion")  # draws it once
    page.wait_for_function("words.length > 0")
    words = [word for word in page.evaluate("words") if ":" in word]
    page.close()
    assert len(words) > 2
    assert len(set(words)) == len(words)


def test_many_people_leave_room_on_the_page(open_page, tmp_path):
    page = open_page(write_page(passers_by(60, stay=2), tmp_path / "page.html"))
    assert page.locator("#lanes").bounding_box()["height"] < 240
    scrub(page, 5)
    wait_for_readout(page, "Person 3: ")
    assert "Person 4" not in page.text_content("#readout")
    page.uncheck("#people li:nth-child(3) input")
    wait_for_readout(page, "Nobody in sight")


def test_key_frames_lie_below_the_slider_where_times_are_uneven(open_page, tmp_path):
    walker = walk(9)
    times, looks = np.array([*range(8), 100]) / FPS, {"keyframes": np.array([4])}
    motion = replace(walker, timestamps=times, keypoints2d=walker.keypoints2d[:, :1], **looks)
    page = open_page(write_page(motion, tmp_path / "page.html"))
    filled = page.evaluate("""() => {
        const lanes = document.getElementById('lanes');
        const row = lanes.getContext('2d').getImageData(0, 2, lanes.width, 1).data;
        const columns = [...Array(lanes.width).keys()].filter(x => row[4 * x + 3] > 128);
        return columns.map(x => x / lanes.width);
    }""")
    assert np.mean(filled) == pytest.approx(0.5, abs=0.01)


def test_who_is_followed_before_they_come_is_in_the_middle(open_page, tmp_path):
    path = write_page(passers_by(2), tmp_path / "page.html")
    seen = []
    for early in (False, True):
        page = open_page(path)
        if early:
            page.click("[aria-label='Follow Person 2']")
            page.wait_for_timeout(300)
        scrub(page, FPS + 3)
        if not early:
            page.click("[aria-label='Follow Person 2']")
        page.wait_for_timeout(300)
        seen.append(picture(page, "#view"))
    assert (np.abs(seen[1] - seen[0]).max(-1) > 30).mean() < 0.001


def test_linked_video_plays_from_disk(open_page, clip, tmp_path):
    motion, video = clip
    beside = tmp_path / "it's a clip.mp4"
    shutil.copy(video, beside)
    path = write_page(motion, tmp_path / "page.html", beside, embed=False)
    page = open_page(path)
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")


@pytest.mark.parametrize(("url", "said"), [("gone%20on.mp4", "gone on"), ("caf%E9.mp4", "caf%E9")])
def test_a_missing_video_is_said_and_the_rest_goes_on(browser, clip, tmp_path, url, said):
    """A name that is not UTF-8, too."""
    beside = tmp_path / "gone.mp4"
    shutil.copy(clip[1], beside)
    path = write_page(clip[0], tmp_path / "page.html", beside, embed=False)
    beside.unlink()
    text = path.read_text(encoding="utf-8").replace("gone.mp4", url)
    path.write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.goto(path.as_uri())
    page.wait_for_selector(f"text=Video not found or not playable: {said}.mp4")
    assert page.locator("#film").is_hidden()
    scrub(page, 7)
    page.close()


def test_phone_in_the_dark(open_page, embedded):
    page = open_page(
        embedded,
        viewport={"width": 390, "height": 844},
        color_scheme="dark",
        has_touch=True,
        is_mobile=True,
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 390  # nothing sticks out
    corner = picture(page, "#view")[4, 4]
    assert corner.max() < 60
    sizes = page.eval_on_selector_all(
        "#transport button", "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 40
    page.tap("#forth")
    wait_for_frame(page, 1)


def test_everything_has_a_name_for_screen_readers(open_page, embedded):
    page = open_page(embedded)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, canvas, video')]
            .filter(one => !(one.closest('#chart') || one.ariaLabel || one.ariaHidden
                || one.textContent.trim() || one.labels?.length)).map(one => one.id)"""
    )
    assert unnamed == []


@pytest.mark.slow
def test_a_minute_is_scrubbed_without_blocking(browser, tmp_path):
    """300 moves at 60 Hz: no task of the page's main thread takes 50 ms of processor time.

    Processor time, because on a busy machine a task's wall time includes that of other programs;
    the software renderer's own work runs in another process.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(write_page(walk(1800), tmp_path / "minute.html").as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.wait_for_timeout(1000)
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
    page.evaluate(
        """() => new Promise(done => {
            const slider = document.getElementById('scrub');
            let move = 0;
            const timer = setInterval(() => {
                slider.value = (0.5 - 0.5 * Math.cos(move / 48)) * slider.max;
                slider.dispatchEvent(new Event('input', { bubbles: true }));
                if (++move === 300) done(clearInterval(timer));
            }, 1000 / 60);
        })"""
    )
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.close()
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event["tdur"] / 1000
        for event in events
        if event.get("name", "").endswith("RunTask")
        and (event["pid"], event["tid"]) in mains
        and "tdur" in event  # one that begins or ends outside the trace has none
    ]
    drawn = sum(event.get("name") == "FireAnimationFrame" for event in events)
    print(f"{len(tasks)} tasks, {drawn} frames drawn, longest {max(tasks):.1f} ms")
    assert drawn > 10
    assert max(tasks) < 50
