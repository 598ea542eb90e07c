import hashlib
import json
from pathlib import Path

import facial_jax

ASSETS = Path(facial_jax.__file__).parent / "assets"
MANIFEST = json.loads((ASSETS / "MANIFEST.json").read_text())


def test_the_manifest_names_every_bundled_file_with_origin_licence_and_script():
    files = {p.relative_to(ASSETS).as_posix() for p in ASSETS.rglob("*") if p.is_file()}
    assert files - {"MANIFEST.json"} == {entry["file"] for entry in MANIFEST}
    for entry in MANIFEST:
        assert entry["origin"]
        assert entry["licence"] == "Apache-2.0"
        script = entry["made_by"].split()[2].replace(".", "/") + ".py"
        assert (ASSETS.parents[1] / script).is_file(), script


def test_bundled_files_are_the_ones_of_the_manifest():
    for entry in MANIFEST:
        data = (ASSETS / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], entry["file"]


def test_bundled_files_stay_small():
    assert sum(entry["bytes"] for entry in MANIFEST) < 30e6
