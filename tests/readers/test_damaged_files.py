"""Every reader of files, given damaged ones: it reads them or says in words what is wrong."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facial_jax.subject import DESCRIPTION, load_subject
from tests.readers.damage import damaged, read_or_refuse
from tests.readers.samples import KINDS
from tests.subject_folders import KEPT

EXAMPLES = 30
quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,  # the computing time of each is checked
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_refused(name, tmp_path):
    kind = KINDS[name]
    content, path = kind.content(), tmp_path / "given" / kind.name
    path.parent.mkdir()
    path.write_bytes(kind.wrap(content))
    assert kind.read(path) is not None  # whole, and what is compiled once is compiled

    @quickly
    @given(damaged(content))
    def check(changed):
        path.write_bytes(kind.wrap(changed))
        read_or_refuse(kind.read, path)

    check()
    assert [p.name for p in tmp_path.iterdir()] == ["given"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return shutil.copytree(KEPT / "format_1", tmp_path_factory.mktemp("subject") / "kept")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "kept", "25", "1e999999999", "1/0", "bfm", "../kept", "9" * 5000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
FIELDS = (
    *("format", "name", "fps", "size", "face_model", "acoustic_model", "acoustic_sha256"),
    *("renders", "identity", "texture", "illumination"),
)


def test_a_description_with_any_value_is_read_or_refused(folder):
    import json

    whole = json.loads((KEPT / "format_1" / DESCRIPTION).read_text())
    load_subject(folder)

    @settings(quickly, max_examples=3 * EXAMPLES)
    @given(st.sampled_from(FIELDS), VALUES)
    def check(name, value):
        (folder / DESCRIPTION).write_text(json.dumps(whole | {name: value}))
        subject = read_or_refuse(lambda path: load_subject(path.parent), folder / DESCRIPTION)
        if subject is not None:
            assert subject.fps > 0
            assert subject.identity.identity.shape == (80,)

    check()


def test_a_damaged_description_is_read_or_refused(folder):
    content = (KEPT / "format_1" / DESCRIPTION).read_bytes()

    @quickly
    @given(damaged(content))
    def check(changed):
        (folder / DESCRIPTION).write_bytes(changed)
        read_or_refuse(lambda path: load_subject(path.parent), folder / DESCRIPTION)

    check()
