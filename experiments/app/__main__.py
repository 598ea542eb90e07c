"""A page in the browser that makes people speak: python -m experiments.app --port 7860.

Its first tab makes videos from recorded, uploaded or typed speech; the second one
personalizes from a video. One job runs at a time, others wait. The same by HTTP: docs/page.md.

Only this machine can reach it, unless `--host 0.0.0.0` is given. It has no passwords.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from facial_jax.interrupts import stop_on_request


@dataclass(frozen=True)
class Arguments:
    """Where the page is, and what it may use."""

    port: int = 7860
    """The port."""
    host: str = "127.0.0.1"
    """Whose requests are answered: this machine's; with 0.0.0.0, those of the whole network."""
    subjects: Path = Path("runs/subjects")
    """The folder of personalized subjects; new ones are written there, too."""
    voices: tuple[Path, ...] = ()
    """Files of Piper voices that texts can be spoken with, NAME.onnx with NAME.onnx.json beside."""
    max_upload_mb: int = 200
    """The largest file that can be uploaded, in megabytes."""
    keep_s: int = 3600
    """For how long uploads and videos are kept, in seconds; all are deleted when the page ends."""


def main(arguments: Arguments) -> None:
    """Serves the page until it is interrupted."""
    with tempfile.TemporaryDirectory(prefix="facial_jax_app_") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # before Gradio is imported
        try:
            from experiments.app.page import LOOK, build_page
        except ImportError as error:
            raise SystemExit(
                f"error: {error}; install the page with pip install 'facial_jax[app]'"
            ) from error
        page = build_page(arguments.subjects, arguments.voices, keep_s=arguments.keep_s)
        with stop_on_request():  # so that the folder is deleted
            _, address, _ = page.launch(
                server_name=arguments.host,
                server_port=arguments.port,
                max_file_size=f"{arguments.max_upload_mb}mb",
                show_error=True,
                prevent_thread_lock=True,
                quiet=True,
                **LOOK,
            )
            print(f"{address} (Ctrl-C ends it)", flush=True)
            page.block_thread()


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
