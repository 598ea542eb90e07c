"""The page: what is on it, and what its buttons do."""

import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

import facial_jax
from experiments.app.personalizing import personalize
from experiments.app.speaking import make_video, subject_folders
from facial_jax.speech.spoken_text import VOICE

LANGUAGES = (VOICE, "en-us+f2", "en-gb-x-rp", "de", "es", "fr", "it", "nl", "pl", "pt", "ru", "sv")
LOOK = dict(
    theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    footer_links=["api"],
)
"""Fonts of the machine: the page needs no network."""
MAX_WAITING = 16
_INTRODUCTION = """# facial_jax
Speech in, a video of a talking person out. Use it for people who agreed to it; every video says in
its metadata that it is synthetic.
"""
_ONE_AT_A_TIME = dict(concurrency_limit=1, concurrency_id="job")


def build_page(
    subjects: Path,
    voices: Sequence[Path] = (),
    *,
    keep_s: int = 3600,
    work: Path = Path("runs/personalize"),
) -> gr.Blocks:
    """The page, ready to be launched.

    Args:
        subjects: the folder of personalized subjects.
        voices: files of Piper voices.
        keep_s: for how long uploads and videos are kept.
        work: the folder of personalization's runs.
    """
    facial_jax.enable_compilation_cache()
    can_track = importlib.util.find_spec("mediapipe") is not None
    voice_files: dict[str, str | Path] = {name: name for name in LANGUAGES}
    voice_files |= {path.stem: path for path in voices}

    def names() -> list[str]:
        """The subjects that there are."""
        return list(subject_folders(subjects))

    def choices() -> gr.Dropdown:
        return gr.Dropdown(choices=names())

    def speak(
        audio: str | None,
        text: str,
        voice: str,
        subject: str,
        head_motion: float,
        blinking: float,
        articulation: float,
        pose_from: str | None,
        full_frame: bool,
        progress=gr.Progress(track_tqdm=True),  # noqa: B008, Gradio looks for it here
    ) -> str:
        """A video of the subject who says the speech or the text."""
        delete_old(keep_s)
        progress(0, desc="starting")
        folders = subject_folders(subjects)
        _check_choice("subject", subject, folders)
        _check_choice("voice", voice, voice_files)
        path = _or_error(
            make_video,
            audio,
            text or "",
            voice=voice_files[voice],
            subject=folders[subject],
            head_motion=head_motion,
            blinking=blinking,
            articulation=articulation,
            pose_from=pose_from,
            full_frame=full_frame,
        )
        return str(path)

    def learn(video: str | None, name: str) -> Iterator[tuple]:
        """Personalizes from a video; the log, previews and the report as they come."""
        delete_old(keep_s)
        if video is None:
            raise gr.Error("video: give one of the person")
        states = personalize(Path(video), name or "", subjects=subjects, work=work)
        with contextlib.closing(states):
            while (state := _or_error(next, states, None)) is not None:
                yield state.log, [str(path) for path in state.pictures], state.report

    with gr.Blocks(
        title="facial_jax", analytics_enabled=False, delete_cache=(min(60, keep_s), keep_s)
    ) as page:
        gr.Markdown(_INTRODUCTION)
        with gr.Tab("Speak"), gr.Row():
            with gr.Column():
                audio = gr.Audio(label="Speech", sources=["upload", "microphone"], type="filepath")
                text = gr.Textbox(label="or a text", lines=2, placeholder="What to say")
                with gr.Row():
                    subject = gr.Dropdown(
                        label="Subject",
                        choices=names(),
                        value=facial_jax.bundled_subjects()[0],
                        allow_custom_value=True,  # one that was learnt since the page was opened
                    )
                    voice = gr.Dropdown(
                        label="Voice of the text", choices=list(voice_files), value=VOICE
                    )
                sliders = [
                    gr.Slider(0, 2, value=1, step=0.05, label=label)
                    for label in ("Head motion", "Blinking", "Articulation")
                ]
                with gr.Accordion("More", open=False):
                    pose_from = gr.Video(
                        label="Head motion from a video",
                        sources=["upload"],
                        include_audio=True,
                        interactive=can_track,
                    )
                    full_frame = gr.Checkbox(
                        label="Whole frames of the reference video (personalized subjects)"
                    )
                    if not can_track:
                        gr.Markdown("Head motion from a video needs the extra `tracking`.")
                make = gr.Button("Make the video", variant="primary")
            with gr.Column():
                result = gr.Video(label="Video", autoplay=True, interactive=False)
        with gr.Tab("Personalize"):
            gr.Markdown(
                "From a video of one person who talks and is seen from the front; 20 seconds or "
                "more are best. On two CPU cores it takes about half an hour."
                if can_track
                else "This needs the extra `tracking`: `pip install 'facial_jax[tracking]'`."
            )
            with gr.Row(visible=can_track):
                with gr.Column():
                    video = gr.Video(label="Video", sources=["upload"], include_audio=True)
                    name = gr.Textbox(label="Name", placeholder="letters, digits, - and _")
                    with gr.Row():
                        begin = gr.Button("Personalize", variant="primary")
                        stop = gr.Button("Stop")
                with gr.Column():
                    log = gr.Textbox(label="Progress", lines=10, autoscroll=True)
                    pictures = gr.Gallery(label="Previews", columns=1, height="auto")
            report = gr.HTML()

        make.click(
            speak,
            [audio, text, voice, subject, *sliders, pose_from, full_frame],
            result,
            api_name="speak",
            **_ONE_AT_A_TIME,
        )
        learning = begin.click(
            learn,
            [video, name],
            [log, pictures, report],
            api_name="personalize",
            **_ONE_AT_A_TIME,
        )
        learning.then(choices, None, subject, api_visibility="private")
        stop.click(None, cancels=[learning])
        page.load(choices, None, subject, api_visibility="private")
        gr.api(names, api_name="subjects")
    return page.queue(max_size=MAX_WAITING)


def delete_old(keep_s: float) -> None:
    """Removes what is older from the temporary folder."""
    folder = os.environ.get("GRADIO_TEMP_DIR")
    if folder is None:
        return
    for path in Path(folder).iterdir():
        newest = max(p.stat().st_mtime for p in (path, *path.rglob("*")))
        if time.time() - newest > keep_s:
            shutil.rmtree(path, ignore_errors=True)


def _check_choice(what: str, choice: str, known: dict[str, Any]) -> None:
    if choice not in known:
        raise gr.Error(f"{what}: expected one of {', '.join(known)}, got {choice!r}")


def _or_error(function: Callable, *arguments, **options) -> Any:
    """What the function gives; what goes wrong is shown on the page in one sentence."""
    try:
        return function(*arguments, **options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from error
