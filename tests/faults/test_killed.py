"""Killed in the middle of saving, a run goes on and ends the same; nothing half is taken as whole.

`python -m tests.faults.killing` kills at many more.
"""

import sys

import pytest

from tests.faults.killing import kill_and_go_on

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@pytest.mark.parametrize(
    ("name", "moments"),
    [
        ("training", (0.3, 0.7)),
        ("prepare", (0.7,)),
        ("personalize", (0.5, 0.9)),
        ("synthesize", (0.6,)),
    ],
)
def test_a_killed_run_goes_on_and_ends_the_same(name, moments, tmp_path):
    assert kill_and_go_on(name, tmp_path, moments) > 0
