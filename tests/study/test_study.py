"""A user study from its clips to its table, in a browser where there is one."""

import csv
import json

import av
import numpy as np
import pytest

from facial_jax.study import table
from facial_jax.study.make import KEY, PAIR_QUESTION, QUESTIONS, find_clips, make_study
from facial_jax.study.page import study_page
from tests.browser import browser_page, is_as_wide_as_its_window


def write_clip(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        image = np.full((64, 64, 3), grey, np.uint8)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture
def clips(tmp_path):
    for number, (method, name) in enumerate(
        [("ours", "a"), ("ours", "b"), ("real", "a"), ("real", "b")]
    ):
        write_clip(tmp_path / "clips" / method / f"{name}.mp4", 60 * number)
    return find_clips(tmp_path / "clips")


def test_names_of_files_and_the_page_say_nothing_of_methods(clips, tmp_path):
    page = make_study(clips, tmp_path / "study", title="Faces", pairs=False)
    text = page.read_text()
    assert "ours" not in text
    assert "real/" not in text
    files = sorted(x.name for x in page.parent.glob("*.mp4"))
    assert files == [f"clip_000{i}.mp4" for i in range(4)]
    key = json.loads((tmp_path / "study" / KEY).read_text())
    for file in files:
        of = key["clips"][file]
        assert (page.parent / file).read_bytes() == clips[of["method"]][of["name"]].read_bytes()
    assert not (page.parent / KEY).exists()


def test_pairs_are_of_one_name_and_two_methods(clips, tmp_path):
    page = make_study(clips, tmp_path / "study", title="Faces", pairs=True)
    key = json.loads((tmp_path / "study" / KEY).read_text())["clips"]
    data = page.read_text().partition("id=study>")[2].partition("</script>")[0]
    trials = json.loads(data)["trials"]
    assert len(trials) == 2
    for one, other in trials:
        assert key[one]["name"] == key[other]["name"]
        assert {key[one]["method"], key[other]["method"]} == {"ours", "real"}
    with pytest.raises(ValueError, match="two methods"):
        make_study({"ours": clips["ours"]}, tmp_path / "other", title="", pairs=True)


def test_texts_of_the_user_are_text_in_the_page():
    page = study_page("a < b", [["x.mp4"]], ['is it "real"?', "<b>"], pairs=False)
    assert "<title>a &lt; b</title>" in page
    assert 'name="is it &quot;real&quot;?"' in page
    assert "<legend>&lt;b&gt;</legend>" in page


def answer_all(page, folder, choose):
    """Answers every trial of the open page and saves; the rows of the file."""
    page.click("#begin")
    while page.is_visible("#trial"):
        shown = [x.get_attribute("src") for x in page.query_selector_all("video")]
        for question in page.query_selector_all("fieldset"):
            value = choose(shown, question.query_selector("legend").inner_text())
            question.query_selector(f'input[value="{value}"]').check()
        page.click("#next")
    with page.expect_download() as download:
        page.click("#save")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    with path.open(newline="") as file:
        return path, list(csv.DictReader(file))


@pytest.mark.parametrize("width", [360, 1200])
def test_ratings_in_a_browser_become_the_table(clips, tmp_path, width):
    index = make_study(clips, tmp_path / "study", title="Faces", pairs=False)
    key = json.loads((tmp_path / "study" / KEY).read_text())["clips"]
    orders, files = [], []
    for participant in range(2):
        with browser_page(viewport={"width": width, "height": 700}) as page:
            page.goto(index.as_uri())

            def choose(shown, question, participant=participant):
                assert is_as_wide_as_its_window(page)
                ours = key[shown[0]]["method"] == "ours"
                return (1 if ours else 2) - participant * (question == QUESTIONS[0])

            path, rows = answer_all(page, tmp_path, choose)
        files.append(path)
        orders.append([row["first"] for row in rows])
        assert len(rows) == 16
        assert sorted(set(orders[-1])) == sorted(key)
    found = table.study_table(table.read_answers(files), tmp_path / "study" / KEY)
    assert found["real"][QUESTIONS[1]] == (2, 2, 2, 2)
    # 1 and 0, over two participants: 0.5 ± 12.706 · 0.5.
    assert found["ours"][QUESTIONS[0]].value == 0.5
    assert found["ours"][QUESTIONS[0]].high == pytest.approx(0.5 + 12.7062 * 0.5, rel=1e-4)


def test_an_unanswered_question_keeps_the_clip_on_the_page(clips, tmp_path):
    index = make_study(clips, tmp_path / "study", title="Faces", pairs=False)
    with browser_page() as page:
        page.goto(index.as_uri())
        page.click("#begin")
        page.click("#next")
        assert page.inner_text("#place") == "1 of 4"
        # The video plays: the browser has read its size.
        page.wait_for_function("document.querySelector('video').videoWidth === 64")


def test_pairs_in_a_browser_become_the_table(clips, tmp_path):
    index = make_study(clips, tmp_path / "study", title="Faces", pairs=True)
    key = json.loads((tmp_path / "study" / KEY).read_text())["clips"]
    with browser_page() as page:
        page.goto(index.as_uri())

        def choose(shown, question):
            assert question == PAIR_QUESTION
            return "first" if key[shown[0]]["method"] == "real" else "second"

        path, rows = answer_all(page, tmp_path, choose)
    assert len(rows) == 2
    found = table.study_table(table.read_answers([path]), tmp_path / "study" / KEY)
    assert list(found) == ["ours beside real"]
    assert found["ours beside real"][PAIR_QUESTION].value == 0


def test_intervals_are_students_and_wilsons():
    found = table.mean_interval(np.array([1.0, 2.0, 3.0]))
    # The deviation is 1, t(0.975, 2) = 4.30265.
    assert found.value == 2
    assert found.low == pytest.approx(2 - 4.30265 / np.sqrt(3), rel=1e-5)
    assert np.isnan(table.mean_interval(np.array([1.0])).low)
    found = table.share_interval(8, 10)
    z, p, n = 1.959964, 0.8, 10
    middle, reach = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found.low == pytest.approx((middle - reach) / (1 + z**2 / n), rel=1e-5)
    assert found.high == pytest.approx((middle + reach) / (1 + z**2 / n), rel=1e-5)


def write_answers(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([table.COLUMNS, *rows])
    return path


def test_answers_given_twice_count_once_and_others_are_refused(tmp_path):
    row = ("p", "1", "clip_0000.mp4", "", "real?", "2", "3.0")
    path = write_answers(tmp_path / "a.csv", row)
    assert len(table.read_answers([path, path])) == 1
    key = tmp_path / KEY
    key.write_text(json.dumps({"pairs": False, "clips": {"clip_0000.mp4": {"method": "ours"}}}))
    answers = table.read_answers([path])
    assert table.study_table(answers, key)["ours"]["real?"].value == 2
    assert "[too few]" in table.text_table(table.study_table(answers, key))
    with pytest.raises(ValueError, match="−2 to 2"):
        table.study_table([{**answers[0], "answer": "7"}], key)
    with pytest.raises(ValueError, match="no clip"):
        table.study_table([{**answers[0], "first": "other.mp4"}], key)
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns"):
        table.read_answers([tmp_path / "b.csv"])


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"METHOD/NAME\.mp4"):
        find_clips(tmp_path)
