"""What is asked for: the data of a new recipe, and the settings that are stated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Overrides:
    """Settings that are stated, and so not recommended; None for those that are not.

    Attributes:
        model: A config of MMPose, as ``mmpose::body_2d_keypoint/...`` or a file, or
            ``efficientnet_lite``.
        weights: Checkpoint file that the backbone starts from.
        teacher_model: A config of MMPose for the teacher, or ``same``.
        input_size: Width and height of the network input, pixels.
        batch_size: Samples in a batch.
        iterations: Length of the teacher's, the baseline's and the student's training.
        lr: Learning rate.
        scales: Magnifications of the views.
        rotations: Degrees by which views are turned.
        flip: Whether images are mirrored, in training and as views.
        labeled_share: Labeled samples in every batch of the student.
        every: Step in frames of videos.
    """

    model: str | None = None
    weights: Path | None = None
    teacher_model: str | None = None
    input_size: tuple[int, int] | None = None
    batch_size: int | None = None
    iterations: int | None = None
    lr: float | None = None
    scales: tuple[float, ...] | None = None
    rotations: tuple[float, ...] | None = None
    flip: bool | None = None
    labeled_share: float | None = None
    every: int | None = None


@dataclass(frozen=True)
class RecipeRequest:
    """The data of a new recipe.

    Attributes:
        name: Name of the recipe.
        labeled: COCO json of the labeled images.
        unlabeled: Folders, videos, COCO jsons, tars, lists or patterns.
        images: Folder of the labeled images; None to search it beside the json.
        unlabeled_images: Folder of the images of jsons and lists in `unlabeled`; None
            for `images`.
        val: COCO json of the validation set; None to split one off.
        val_images: Folder of its images; None for `images`.
        truth: COCO json with the true labels of the unlabeled images; None without.
        truth_images: Folder of its images; None for that of the unlabeled ones.
        out: Folder to write; None for ``configs/distill/NAME``.
        work_dir: Folder of checkpoints and labels; None for ``work_dirs/NAME``.
        boxes: Detections on the unlabeled images, in MMPose's `bbox_file` form.
        detector: Config of a detector, a file or ``mmdet::...``.
        detector_checkpoint: Its weights, a file or an address.
        follow: Whether the box of a video frame follows the one before.
        keypoints: Names of the keypoints, where the json has none.
        pairs: Names of left and right keypoints; None to find them by their names.
        val_share: Share of the labeled images to split off.
        val_by: Field of an image that names its video or subject, ``folder`` or
            ``image``; None to look for one.
        seed: Seed of the split and of the trainings.
        overrides: Settings that are stated.
    """

    name: str
    labeled: Path
    unlabeled: tuple[str, ...]
    images: Path | None = None
    unlabeled_images: Path | None = None
    val: Path | None = None
    val_images: Path | None = None
    truth: Path | None = None
    truth_images: Path | None = None
    out: Path | None = None
    work_dir: Path | None = None
    boxes: Path | None = None
    detector: str | None = None
    detector_checkpoint: str | None = None
    follow: bool = False
    keypoints: tuple[str, ...] | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    val_share: float = 0.2
    val_by: str | None = None
    seed: int = 0
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def folder(self) -> Path:
        """The folder of the recipe."""
        return self.out or Path('configs/distill', self.name)

    @property
    def work_folder(self) -> Path:
        """The folder of its checkpoints and labels."""
        return self.work_dir or Path('work_dirs', self.name)
