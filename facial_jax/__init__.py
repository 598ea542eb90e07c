"""facial_jax: speech in, a video of a talking person out, in JAX.

import facial_jax

video = facial_jax.synthesize("speech.wav", output="talk.mp4")
video.attributes.pose  # (frames, 6): what the head does
"""

from facial_jax.animation import AnimatedHead as AnimatedHead
from facial_jax.animation import animate as animate
from facial_jax.attributes import Attributes as Attributes
from facial_jax.attributes import Identity as Identity
from facial_jax.audio.waveform import AudioSource as AudioSource
from facial_jax.cache import enable_compilation_cache as enable_compilation_cache
from facial_jax.credentials import Signature as Signature
from facial_jax.editing import keyframe_attributes as keyframe_attributes
from facial_jax.editing import offset_attributes as offset_attributes
from facial_jax.editing import replace_attributes as replace_attributes
from facial_jax.editing import scale_attributes as scale_attributes
from facial_jax.editing import smooth_attributes as smooth_attributes
from facial_jax.editing import transfer_attributes as transfer_attributes
from facial_jax.face.bfm import load_bfm as load_bfm
from facial_jax.face.model import FaceModel as FaceModel
from facial_jax.face.procedural import procedural_face_model as procedural_face_model
from facial_jax.many import synthesize_folder as synthesize_folder
from facial_jax.personalization.personalize import Personalization as Personalization
from facial_jax.personalization.personalize import personalize as personalize
from facial_jax.rendering.camera import Camera as Camera
from facial_jax.rendering.camera import pinhole_camera as pinhole_camera
from facial_jax.rendering.render import render as render
from facial_jax.speech.spoken_text import SpokenText as SpokenText
from facial_jax.speech.spoken_text import speak_text as speak_text
from facial_jax.speech_attributes import attributes_from_speech as attributes_from_speech
from facial_jax.subject import Subject as Subject
from facial_jax.subject import bundled_subjects as bundled_subjects
from facial_jax.subject import load_subject as load_subject
from facial_jax.synthesis import TalkingVideo as TalkingVideo
from facial_jax.synthesis import sample_speech as sample_speech
from facial_jax.synthesis import synthesize as synthesize
from facial_jax.version import __version__ as __version__
