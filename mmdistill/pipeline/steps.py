"""The steps from labels to an answer: what each runs, and what it is made of.

Each is one or several ordinary commands. What a step is made of is read when those
before it are done. Beside the work folder of the student lies that of the whole:

    WORK_DIR-distill/steps.json            what was done, and what it was made of
    WORK_DIR-distill/student.py            the test of a model, for all tools
    WORK_DIR-distill/student/metrics.json  its metrics on the validation set
    WORK_DIR-distill/student/images.json   its results on each image
    WORK_DIR-distill/answer.json           the comparison
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.audits.result import AUDIT_FILE
from mmdistill.config.datasets import members_of
from mmdistill.config.detectors import is_joint
from mmdistill.config.recipe import Recipe
from mmdistill.config.text import write_config
from mmdistill.errors import ConfigError
from mmdistill.pipeline import models
from mmdistill.pipeline.evaluation import evaluation_config, has_validation
from mmdistill.pipeline.models import Model
from mmdistill.selection.selection import has_selection
from mmdistill.stages.detect_config import detect_config
from mmdistill.stages.label_config import label_store, labeled_members
from mmdistill.stages.step_contents import (
    OF_THE_LABELING,
    OF_THE_RUN,
    annotation_prints,
    evaluation_content,
    file_print,
    labeling_content,
    selection_content,
    settings_text,
    training_content,
)
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS
from mmdistill.utils.files import json_sha256
from mmdistill.utils.ledger import LAST_CHECKPOINT, METRICS, FileRecords, Step

STEPS_FILE = 'steps.json'
BOXES, LABELS, AUDIT = 'boxes', 'labels', 'audit'
IMAGES = 'images.json'
REPORT = 'report.html'
CACHE = 'image_hashes.json'
OF_THE_STUDENT = (
    *('labeled', 'mixing', 'schedule', 'weights', 'noise', 'finish', 'ema'),
)
"""Sections of `distill` that a student's training follows, beside its labels."""

Words = Sequence[str]


@dataclass(frozen=True)
class Task:
    """A step of the work, before it is known what it is made of.

    Attributes:
        name: Name of the step.
        title: What it does, for the log.
        commands: Its commands.
        folder: The folder that they write.
        content: Reads what it is made of.
        made: Whether what it makes is there.
        needs: Names of the steps that come before it, of those that there are.
        prepare: Writes the files that its commands read.
        own_content: Reads what the folder is made of, where that is less.
        compares_itself: Whether the commands refuse a folder that was made otherwise.
        stays: Whether the folder is not moved.
        keeps: What within the folder is of other steps.
        model: The model that it trains.
        is_optional: Whether the answer can be given without it.
    """

    name: str
    title: str
    commands: Sequence[Words]
    folder: Path
    content: Callable[[], Any]
    made: Callable[[], bool]
    needs: Sequence[str] = ()
    prepare: Callable[[], None] = lambda: None
    own_content: Callable[[], Any] | None = None
    compares_itself: bool = False
    stays: bool = False
    keeps: Sequence[Path] = ()
    model: Model | None = None
    is_optional: bool = False

    def step(self) -> Step:
        """The step, now that those before it are done."""
        own = self.own_content
        # Before anything is trained a folder has logs alone.
        untrained = self.model and not (self.folder / LAST_CHECKPOINT).is_file()
        return Step(
            name=self.name,
            commands=self.commands,
            folder=self.folder,
            fingerprint=json_sha256(self.content()),
            content='' if own is None else json_sha256(own()),
            compares_itself=self.compares_itself,
            stays=self.stays or bool(untrained),
            keeps=self.keeps,
        )


class Distillation:
    """The steps of a recipe, from its labels to the answer.

    Args:
        recipe: The recipe.
        source: Its file; configs of other models are looked for beside it.
        baseline: Config of a baseline; empty for the one beside the recipe. None for
            none, but for a recipe whose teacher is of another config: there it is that
            one, if there is one.
        is_changed: Whether the recipe is no longer as the file states it, so that the
            commands are given one that is.
        training_words: Further words of the commands that train, which change no
            result, as where they log to.
        student_words: The same of the student alone.
        has_baseline: Whether there is one at all.

    Attributes:
        folder: The folder of the whole.
        records: Records of its steps.
        file: The recipe's file, as commands name it.
        teachers: The teachers.
        student: The student.
        baseline: The baseline, if there is one that is not the teacher.
        is_teacher_baseline: Whether the baseline is the teacher's own training.

    Raises:
        UserError: If a model is missing, and nothing says how to train it.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: Path,
        baseline: str | None = None,
        is_changed: bool = False,
        training_words: Words = (),
        student_words: Words = (),
        has_baseline: bool = True,
    ) -> None:
        if is_joint(recipe):
            raise ConfigError(
                f'tools/distill.py runs one distillation, and {source} has '
                'distill.detector.distill, which is two; label with tools/label.py, '
                'then run it for detector.py and for poses.py of the work folder'
            )
        self._training_words = training_words
        self._student_words = (*training_words, *student_words)
        self.recipe = recipe
        self.root = Path(recipe.config.work_dir)
        self.folder = self.root.with_name(f'{self.root.name}-distill')
        self.records = FileRecords(self.folder / STEPS_FILE)
        self.file = str(self.folder / 'recipe.py') if is_changed else str(source)
        self._is_changed = is_changed
        self.teachers = models.teacher_models(recipe, source, self._is_ours)
        self.detector = models.detector_model(recipe, self._is_ours)
        self.student = models.student_model(recipe, self.file)
        if baseline is None and has_baseline:
            baseline = models.default_baseline(recipe, source)
        stated = models.baseline_model(source, baseline)
        # Trained alike, of one seed: two trainings would give one model.
        self.is_teacher_baseline = stated is not None and any(
            models.are_trained_alike(stated, teacher) for teacher in self.teachers
        )
        self.baseline = None if self.is_teacher_baseline else stated
        trained = [*self.teachers, self.detector, self.student, self.baseline]
        models.check_folders([model for model in trained if model])

    @property
    def store(self) -> LabelStore:
        """The label store, of several rounds that of the first."""
        return label_store(self.recipe)

    @property
    def tested(self) -> list[Model]:
        """The models that are compared, the student first; none without a set."""
        if not has_validation(self.recipe.config):
            return []
        others = [*self.teachers, self.baseline]
        return [self.student, *(model for model in others if model)]

    @property
    def larger(self) -> list[str]:
        """The teachers that may stay ahead of the student, where others decide."""
        own = [model.name for model in self.teachers if model.tested_by is not None]
        return own if self.baseline is not None else []

    def write_recipe(self) -> None:
        """Write the recipe that the commands read, where it is not the user's file."""
        if self._is_changed:
            write_config(self.recipe.config, self.file)

    def metrics_file(self, model: Model) -> Path:
        """The metrics of a model on the validation set.

        Args:
            model: The model.
        """
        return self.folder / model.name / METRICS

    def images_file(self, model: Model) -> Path:
        """The results of a model on each image of the validation set.

        Args:
            model: The model.
        """
        return self.folder / model.name / IMAGES

    def tasks(self) -> list[Task]:
        """The steps, in their order."""
        first = [
            self._training(model)
            for model in (*self.teachers, self.detector)
            if model and model.training
        ]
        last = [self._student()]
        if self.baseline is not None:
            last.append(self._training(self.baseline))
        return [
            *first,
            *self._boxes(),
            self._labels(),
            *self._audit(),
            *last,
            *(self._test(model) for model in self.tested),
            self._report(),
        ]

    def _is_ours(self, name: str, folder: Path) -> bool:
        """Whether a model was trained there by this work, to its end or not."""
        return bool(self.records.read(models.step_name(name, folder)))

    def _training(self, model: Model) -> Task:
        assert model.training is not None
        assert model.work_dir is not None
        path, folder = model.training, model.work_dir
        command = ['tools/train.py', path, '--work-dir', str(folder), *model.options]
        command += self._training_words

        def content() -> Any:
            config = models.read_training(path)
            return [training_content(config, folder), list(model.options)]

        return Task(
            name=model.step,
            title=f'train the {_spelled(model)}',
            commands=[command],
            folder=folder,
            content=content,
            made=lambda: Path(model.checkpoint).is_file(),
            keeps=self._kept_in(model),
            model=model,
        )

    def _boxes(self) -> list[Task]:
        folder = self.recipe.distill.boxes_folder
        detector = self.recipe.distill.detector
        if folder is None or detector is None:
            return []
        assert self.detector is not None
        detector_step = self.detector.step
        return [
            Task(
                name=BOXES,
                title='detect the boxes',
                commands=[['tools/detect.py', self.file]],
                folder=folder,
                content=lambda: [
                    settings_text(
                        detect_config(self.recipe), OF_THE_LABELING, self.root
                    ),
                    file_print(detector.checkpoint),
                ],
                made=lambda: LabelStore(folder, DETECTIONS).complete,
                needs=[detector_step],
                compares_itself=True,
            )
        ]

    def _labels(self) -> Task:
        def contents() -> tuple[Any, Any]:
            content, selected = labeling_content(self.recipe, self.root)
            folder = self.recipe.distill.boxes_folder
            boxes = LabelStore(folder, DETECTIONS).digest() if folder else ''
            return [content, boxes], [selected, boxes]

        return Task(
            name=LABELS,
            title='label and select',
            commands=[['tools/label.py', self.file]],
            folder=self.store.root,
            content=lambda: contents()[1],
            own_content=lambda: contents()[0],
            made=lambda: self.store.complete and has_selection(self.store),
            needs=[BOXES, *(teacher.step for teacher in self.teachers)],
            compares_itself=True,
        )

    def _audit(self) -> list[Task]:
        config, audited = self.recipe.config, self.recipe.distill.audit
        if not has_validation(config) and (audited is None or not audited.ann_file):
            return []
        settings = dict(
            audit=config.distill.get('audit'), set=config.get('val_dataloader')
        )
        sets = members_of(settings['set']['dataset']) if settings['set'] else []
        store = self.store.root
        return [
            Task(
                name=AUDIT,
                title='audit the labels',
                commands=[['tools/audit_labels.py', self.file]],
                folder=store.with_name(f'{store.name}-audit'),
                content=lambda: [
                    selection_content(self.store),
                    settings_text(settings, OF_THE_RUN, self.root),
                    annotation_prints(sets),
                ],
                made=(store / AUDIT_FILE).is_file,
                needs=[LABELS],
                stays=True,
                is_optional=True,
            )
        ]

    def _student(self) -> Task:
        config = self.recipe.config
        section = dict(config.distill)
        if self.recipe.distill.rounds is None:
            section = {key: section.get(key) for key in OF_THE_STUDENT}
        settings = {**config.to_dict(), 'distill': section}
        rounds = self.recipe.distill.rounds is not None
        return Task(
            name=self.student.step,
            title='train the student' + (', in rounds' if rounds else ''),
            commands=[['tools/train.py', self.file, *self._student_words]],
            folder=self.root,
            content=lambda: [
                settings_text(settings, OF_THE_RUN - {'distill'}, self.root),
                selection_content(self.store),
                annotation_prints(labeled_members(self.recipe)),
                file_print(config.get('load_from')),
            ],
            made=lambda: Path(self.student.checkpoint).is_file(),
            needs=[LABELS],
            # Rounds have a ledger of their own.
            stays=rounds,
            keeps=self._kept_in(self.student),
            model=self.student,
        )

    def _test(self, model: Model) -> Task:
        file = self.folder / f'{model.name}.py'
        metrics, images = self.metrics_file(model), self.images_file(model)
        command = ['tools/test.py', str(file), model.checkpoint]
        command += ['--work-dir', str(metrics.parent)]
        command += ['--out', str(metrics), '--per-image', str(images)]

        def config() -> Config:
            own = self.recipe.config
            if model.tested_by is not None:
                own = models.read_training(model.tested_by)
            return evaluation_config(own, self.recipe.config)

        return Task(
            name=_test_name(model),
            title=f'test the {_spelled(model)}',
            commands=[command],
            folder=metrics.parent,
            content=lambda: evaluation_content(
                config(), Path(model.checkpoint), self.root
            ),
            made=lambda: metrics.is_file() and images.is_file(),
            needs=[model.step],
            prepare=lambda: write_config(config(), str(file)),
        )

    def _report(self) -> Task:
        store = self.store.root
        command = ['tools/report.py', str(store), '--config', self.file]
        files = [self.metrics_file(model) for model in self.tested]
        if files:
            named = zip(self.tested, files, strict=True)
            command += ['--results', *(f'{model.name}={path}' for model, path in named)]
        return Task(
            name='report',
            title='write the report',
            commands=[command],
            folder=store,
            content=lambda: [
                selection_content(self.store),
                [file_print(path) for path in (store / AUDIT_FILE, *files)],
            ],
            made=(store / REPORT).is_file,
            needs=[LABELS, AUDIT, *map(_test_name, self.tested)],
            stays=True,
            is_optional=True,
        )

    def _kept_in(self, model: Model) -> list[Path]:
        """What is not the training's own, and may lie in its folder."""
        distill = self.recipe.distill
        store = Path(distill.store)
        kept = [store, store.with_name(f'{store.name}-audit'), self.folder]
        kept += [distill.boxes_folder] if distill.boxes_folder else []
        trained = [*self.teachers, self.detector, self.student, self.baseline]
        others = [each for each in trained if each and each.name != model.name]
        kept += [Path(o.checkpoint) for o in others if '://' not in o.checkpoint]
        return [*kept, self.root / CACHE]


def _test_name(model: Model) -> str:
    return f'test_{model.name}'


def _spelled(model: Model) -> str:
    return model.name.replace('_', ' ')
