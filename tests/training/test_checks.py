"""What does not fit together is refused where it enters a training, by name."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from facial_jax.attributes import AttributeStatistics
from facial_jax.data.resident_windows import resident_clips
from facial_jax.data.windows import WindowCutter, subject_statistics
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.recognition import train_recognizer
from facial_jax.models.acoustic.corpus import SpeechCorpus
from facial_jax.models.acoustic.task import AcousticTask, AcousticTrainingConfig
from facial_jax.models.facial_gan.batch import FacialBatch
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from facial_jax.models.facial_gan.initialization import FacialGanNetworks
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.models.facial_gan.task import FacialGanTask
from facial_jax.models.pgface.batch import clip_frames
from facial_jax.models.pgface.config import PgFaceTrainingConfig
from facial_jax.models.pgface.network import PgFaceGenerator
from facial_jax.models.pgface.statistics import pgface_statistics
from facial_jax.models.pgface.task import PgFaceTask
from facial_jax.models.pose_gan.batch import PoseBatch
from facial_jax.models.pose_gan.config import PoseGanTrainingConfig
from facial_jax.models.pose_gan.network import PoseDiscriminator, PoseGenerator
from facial_jax.models.pose_gan.task import PoseGanTask
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.reference import RenderedClip
from facial_jax.models.rendering_to_video.task import RenderingToVideoTask
from facial_jax.models.sync.task import MouthSyncTask, MouthSyncTrainingConfig
from facial_jax.training.checks import check_columns, check_rows, check_same_shapes, check_shape
from facial_jax.training.fit import fit
from tests.random_clips import clip_source, random_clip
from tests.training.toy_task import ToyTask


@pytest.fixture
def without_annotations(monkeypatch):
    """As outside of the tests, where no annotation is checked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_shapes_are_checked_by_name():
    array = np.zeros((3, 4))
    check_shape("x", array, (3, None))
    check_shape("x", array, (..., 4))
    with pytest.raises(ValueError, match=r"^x: expected shape \(any, 5\), got \(3, 4\)$"):
        check_shape("x", array, (None, 5))
    with pytest.raises(ValueError, match=r"^x: expected shape \(\), got \(2,\)"):
        jax.eval_shape(lambda x: check_shape("x", x, ()), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"^rows: expected the same number of columns, got 2, 4$"):
        check_columns("rows", [array, np.zeros((9, 2))])
    check_columns("rows", [array, np.zeros((9, 4))])


def test_trees_are_checked_leaf_by_leaf():
    tree = {"a": np.zeros((3, 4), np.float32), "b": np.zeros(3, np.int32)}
    check_rows("draw", tree, 3)
    with pytest.raises(ValueError, match=r"'b'.*\(2,\) != \(3,\).*draw: expected 3 rows"):
        check_rows("draw", tree | {"b": np.zeros(2)}, 3)
    check_same_shapes("state", tree, jax.tree.map(jnp.asarray, tree))
    for other in ({"a": tree["a"]}, tree | {"b": np.zeros(3, np.int16)}, tree | {"b": tree["a"]}):
        with pytest.raises(ValueError, match="state: expected the same structure, shapes and dty"):
            check_same_shapes("state", other, tree)


class TooFew(ToyTask):
    def draw(self, step):
        return jax.tree.map(lambda x: x[:7], super().draw(step))


class NotReduced(ToyTask):
    def losses(self, variables, batch, **options):
        losses = super().losses(variables, batch, **options)
        return losses._replace(metrics={"error": jnp.zeros(8)})


class OtherShape(ToyTask):
    def after_step(self, before, after, step):
        return {**after, "average": jax.tree.map(lambda x: x[None], before["average"])}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (TooFew, "draw: expected 8 rows, as many as the batch has"),
        (NotReduced, r"loss error: expected shape \(\), got \(8,\)"),
        (OtherShape, "variables after a step: expected the same structure"),
    ],
)
def test_fit_refuses_a_task_that_breaks_its_promises(task, message):
    with pytest.raises(ValueError, match=message):
        fit(task(), devices=jax.local_devices(backend="cpu")[:1], progress=False)


def source(features, **options):
    return clip_source(random_clip("a0", "a", 300, features=features, **options))


def facial_gan(clips, validation, statistics=None):
    statistics = subject_statistics(clips) if statistics is None else statistics
    networks = FacialGanNetworks(FacialGenerator(), FacialDiscriminator())
    return FacialGanTask(FacialGanTrainingConfig(), networks, clips, validation, statistics)


def pose_gan(clips, validation, folder):
    networks = PoseGenerator(), PoseDiscriminator()
    return PoseGanTask(PoseGanTrainingConfig(), *networks, clips, validation, folder)


def pgface(clips, validation, statistics=None):
    statistics = pgface_statistics(clips) if statistics is None else statistics
    model = procedural_face_model()
    return PgFaceTask(
        PgFaceTrainingConfig(), PgFaceGenerator(), model, clips, validation, statistics
    )


def test_validation_clips_of_another_acoustic_model_are_refused(tmp_path):
    tasks = {
        "FACIAL-GAN": facial_gan,
        "PoseGAN": lambda *clips: pose_gan(*clips, tmp_path),
        "PGFace": pgface,
        "MouthSync": lambda *clips: MouthSyncTask(MouthSyncTrainingConfig(), *clips),
    }
    for task in tasks.values():
        with pytest.raises(ValueError, match="features of clips and validation: expected the same"):
            task(source(29), source(5))


def test_clips_of_different_acoustic_models_are_refused():
    mixed = clip_source(random_clip("a", "a", 40), random_clip("b", "a", 40, features=5))
    with pytest.raises(ValueError, match=r"features of clips: .* got 5, 29"):
        resident_clips(WindowCutter(mixed), None)
    with pytest.raises(ValueError, match=r"features of clips: .* got 5, 29"):
        clip_frames(mixed)


def test_statistics_of_other_numbers_are_refused(without_annotations):
    wrong = {"a": AttributeStatistics(mean=np.zeros(71), std=np.ones(6))}
    with pytest.raises(ValueError, match=r"statistics\['a'\]\.std: expected shape \(71\), got"):
        facial_gan(source(29), source(29), wrong)
    with pytest.raises(ValueError, match=r"statistics\.features\.mean: expected shape \(29\)"):
        pgface(source(29), source(29), pgface_statistics(source(5)))


def test_networks_are_not_begun_with_rows_of_another_length(tmp_path, without_annotations):
    batch = FacialBatch(
        rows=jnp.zeros((1, 100, 29)),
        initial_state=jnp.zeros((1, 71)),
        attributes=jnp.zeros((1, 128, 71)),
        valid=jnp.ones((1, 128), bool),
    )
    with pytest.raises(ValueError, match=r"rows: expected shape \(1, 143, any\), got \(1, 100"):
        facial_gan(source(29), source(29)).init(jax.random.key(0), batch)
    poses = PoseBatch(
        rows=jnp.zeros((1, 255, 29)),
        initial_pose=jnp.zeros((1, 6)),
        poses=jnp.zeros((1, 256, 6)),
        valid=jnp.ones((1, 256), bool),
    )
    with pytest.raises(ValueError, match=r"rows: expected shape \(1, 256, any\), got \(1, 255"):
        pose_gan(source(29), source(29), tmp_path).init(jax.random.key(0), poses)


def test_rendered_faces_of_another_size_than_the_frames_are_refused():
    frames, starts = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(1, np.int32)
    clip = RenderedClip(
        frames, np.zeros((4, 8, 6, 4), np.uint8), np.zeros((4, 8, 8, 2), np.uint8), starts
    )
    with pytest.raises(ValueError, match=r"clip\.pictures: expected shape \(4, 8, 8, 4\), got"):
        RenderingToVideoTask(RenderingToVideoTrainingConfig(), clip)


def test_a_corpus_whose_arrays_do_not_fit_together_is_refused():
    def corpus(**arrays):
        whole = {
            "log_mel": np.zeros((9, 26), np.float16),
            "phones": np.zeros(9, np.int8),
            "bounds": np.array([0, 4, 9]),
            "texts": ("a", "b"),
            "speakers": np.zeros(2, np.int32),
        }
        return SpeechCorpus(**whole | arrays)

    wrong = corpus(phones=np.zeros(8, np.int8))
    with pytest.raises(ValueError, match=r"held_out\.phones: expected shape \(9\), got \(8,\)"):
        AcousticTask(AcousticTrainingConfig(), corpus(), wrong)


def test_a_recognizer_is_told_whose_every_window_is(without_annotations):
    with pytest.raises(ValueError, match=r"people: expected shape \(3\), got \(2,\)"):
        train_recognizer(np.random.default_rng(0).normal(size=(3, 8, 2)), np.array([0, 1]))
