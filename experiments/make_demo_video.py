"""Draws the reference video of the built-in subject `demo`: an invented person, speaking made-up
speech.

    python -m experiments.make_demo_video

`experiments.demo_person.reference_video` says what goes into the output folder.
"""

import tyro

from experiments.demo_person.reference_video import ReferenceVideo, make_reference_video

if __name__ == "__main__":
    make_reference_video(tyro.cli(ReferenceVideo))
