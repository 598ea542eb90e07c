"""The page: its HTTP API, and clicks in a browser that end with a playing video."""

import shutil
import sys
import time
from pathlib import Path

import pytest

import facial_jax

pytest.importorskip("gradio")
gradio_client = pytest.importorskip("gradio_client")

from experiments.app import page as page_module  # noqa: E402
from experiments.app import personalizing, speaking  # noqa: E402
from experiments.app.page import LOOK, build_page  # noqa: E402
from experiments.app.personalizing import NAME, personalize, previews  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
KEPT_S = 4
MAX_BYTES = 500_000
# In place of experiments.personalize: says what it does, draws a preview, writes a report.
STAND_IN = """
import sys, time
from pathlib import Path
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
output, work = Path(options["--output"]), Path(options["--work-dir"])
if options["--subject"] == "nobody":
    sys.exit("error: video: there is no face in it")
if options["--subject"] == "patient":
    time.sleep(patience)
    Path(options["--video"]).read_bytes()
print("W0000 00:00:1795790470.8 1 face_landmarker_graph.cc:181] Sets xnnpack", flush=True)
print("track: 3 s", flush=True)
for done in (1, 2, 3):
    print(f"\\rtraining: {done} of 3", end="", file=sys.stderr, flush=True)
    time.sleep(0.7 if options["--subject"] != "slow" else 60)
    (work / "video").mkdir(parents=True, exist_ok=True)
    picture = Path(facial_jax_picture).read_bytes()
    (work / "video" / f"preview_{done:06d}.png").write_bytes(picture)
output.mkdir(parents=True)
(output / "report.html").write_text("<!doctype html><h1>What was learnt</h1>")
print("done")
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's address, its temporary folder and its folder of subjects."""
    folder, subjects = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("subjects")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        program = tmp_path_factory.mktemp("program") / "stand_in.py"
        picture = Path(__file__).parents[2] / "docs" / "demo.png"
        given = f"facial_jax_picture, patience = {str(picture)!r}, {KEPT_S + 5}\n"
        program.write_text(given + STAND_IN)
        patch.setattr(personalizing, "PROGRAM", (sys.executable, str(program)))
        built = build_page(subjects, keep_s=KEPT_S, work=tmp_path_factory.mktemp("work"))
        _, address, _ = built.launch(
            prevent_thread_lock=True, quiet=True, max_file_size=MAX_BYTES, **LOOK
        )
        yield address, folder, subjects
        built.close()


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no browser here: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        # Root's sandbox does not work in a container.
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        running = driver.chromium.launch(executable_path=found, args=options)
        yield running
        running.close()


def test_clicks_end_with_a_playing_video(page, browser):
    address, _, _ = page
    window = browser.new_page(viewport={"width": 1280, "height": 900})
    elsewhere = []
    window.on("request", lambda request: elsewhere.append(request.url))
    window.goto(address)
    window.get_by_label("or a text").fill("Papa!")
    window.get_by_label("number input for Head motion").fill("0.5")
    window.get_by_role("button", name="Make the video").click()
    video = window.locator("video")
    video.wait_for(timeout=180_000)
    window.wait_for_function("v => v.currentTime > 0.1", arg=video.element_handle())
    width, seconds = video.evaluate("v => [v.videoWidth, v.duration]")
    assert width == 256
    assert 0.3 < seconds < 3
    assert all(url.startswith((address, "data:", "blob:")) for url in elsewhere)  # no network


def test_clicks_personalize_with_progress_previews_and_a_report(page, browser, tmp_path):
    address, _, subjects = page
    video = tmp_path / "anna.mp4"
    video.write_bytes(b"a video")
    window = browser.new_page(viewport={"width": 1280, "height": 900})
    window.goto(address)
    window.get_by_role("tab", name="Personalize").click()
    panel = window.get_by_role("tabpanel").filter(has=window.get_by_label("Name"))
    panel.locator("input[type=file]").first.set_input_files(video)
    window.get_by_label("Name").fill("anna")
    window.get_by_role("button", name="Personalize").click()
    progress = window.get_by_label("Progress").element_handle()
    window.wait_for_function("e => e.value.includes('training: 2 of 3')", arg=progress)
    window.frame_locator("iframe[title=report]").get_by_text("What was learnt").wait_for()
    said = progress.evaluate("e => e.value")
    assert "track: 3 s" in said
    assert "training: 1 of 3" not in said  # it was written over
    assert "xnnpack" not in said  # a library's
    assert panel.locator("img").count() >= 1
    assert (subjects / "anna" / "report.html").is_file()


def call(address, *arguments, **options):
    return gradio_client.Client(address, verbose=False).predict(*arguments, **options)


def test_the_api_names_subjects_and_refuses_what_it_does_not_know(page):
    address, _, _ = page
    assert call(address, api_name="/subjects") == facial_jax.bundled_subjects()
    options = dict(audio=None, text="Papa!", pose_from=None, api_name="/speak")
    refused = gradio_client.exceptions.AppError
    for wrong, message in (
        ({"subject": "../../etc"}, "subject: expected one of demo"),
        ({"voice": "/etc/passwd"}, "not in the list of choices"),
        ({"text": " "}, "speech, text: expected one of them, got neither"),
        ({"head_motion": 9}, "."),
    ):
        with pytest.raises(refused, match=message):
            call(address, **options | wrong)


def test_the_api_makes_videos_of_uploads_which_are_deleted(page, monkeypatch):
    address, folder, _ = page
    speech = gradio_client.handle_file(str(facial_jax.sample_speech()))
    asked = {}

    def make_video(audio, text, **options):
        asked.update(options, audio=Path(audio).read_bytes())
        path = folder / "job" / "talk.mp4"
        path.parent.mkdir()
        shutil.copyfile(audio, path)
        return path

    monkeypatch.setattr(page_module, "make_video", make_video)
    path = call(
        address,
        audio=speech,
        text="",
        pose_from=None,
        articulation=1.5,
        api_name="/speak",
    )
    assert Path(path).read_bytes() == asked["audio"] == facial_jax.sample_speech().read_bytes()
    assert asked["articulation"] == 1.5
    deadline = time.monotonic() + 60
    while left := [p for p in folder.rglob("*") if p.suffix in (".flac", ".mp4")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
        with pytest.raises(gradio_client.exceptions.AppError):  # a job clears what is old
            call(address, audio=None, text="", pose_from=None, api_name="/speak")


def test_uploads_that_are_too_large_are_refused(page, tmp_path):
    address, folder, _ = page
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(Exception, match=r"(?i)size|large|413"):
        call(address, audio=gradio_client.handle_file(str(large)), text="", pose_from=None,
             api_name="/speak")  # fmt: skip
    assert not [p for p in folder.rglob("*.wav") if p.stat().st_size > MAX_BYTES]


def test_only_this_machine_is_answered(page):
    address, _, _ = page
    assert address.startswith("http://127.0.0.1:")


def test_what_cannot_be_personalized_is_said(page, tmp_path):
    del page
    video = tmp_path / "nobody.mp4"
    video.write_bytes(b"a video")
    folders = dict(subjects=tmp_path / "subjects", work=tmp_path / "work")
    with pytest.raises(RuntimeError, match=r"^video: there is no face in it$"):
        list(personalize(video, "nobody", **folders))
    for name in ("", "../x", "a b", "a" * 41):
        with pytest.raises(ValueError, match="name: expected letters"):
            next(personalize(video, name, **folders))
    assert NAME.fullmatch("anna-2_b")


def test_an_upload_is_kept_while_it_is_worked_on(page, tmp_path):
    address, _, subjects = page
    video = tmp_path / "patient.mp4"
    video.write_bytes(b"a video")
    *_, report = call(
        address,
        gradio_client.handle_file(str(video)),
        "patient",
        api_name="/personalize",
    )
    assert "What was learnt" in report
    assert (subjects / "patient" / "report.html").is_file()


def test_stopping_ends_the_program(page, tmp_path):
    del page
    states = personalize(tmp_path, "slow", subjects=tmp_path, work=tmp_path / "work")
    assert any("training: 1 of 3" in state.log for state, _ in zip(states, range(20), strict=False))
    begin = time.monotonic()
    states.close()
    assert time.monotonic() - begin < 10
    assert previews(tmp_path / "work" / "slow") == ()


def test_sliders_scale_what_speech_makes(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    saved = []

    def save(video, path, **_):
        saved.append(video.attributes)
        return path

    monkeypatch.setattr(facial_jax.TalkingVideo, "save", save)
    demo = speaking.subject_folders(tmp_path)["demo"]
    for options in ({}, dict(head_motion=0.0, blinking=0.0, articulation=2.0)):
        speaking.make_video(facial_jax.sample_speech(), "", voice="", subject=demo, **options)
    plain, scaled = saved
    mean = plain.pose.mean(axis=0, keepdims=True)
    assert scaled.pose == pytest.approx(mean.repeat(len(plain), 0), abs=1e-6)
    assert not scaled.blink.any()
    assert scaled.expression == pytest.approx(2 * plain.expression, rel=1e-5)
