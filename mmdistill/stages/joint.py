"""A detector and the poses in its boxes, distilled by one command.

The paper's Keypoint R-CNN finds boxes and keypoints with one set of transforms, and
learns both. Here the boxes of a recipe of poses, found in several views, are also the
pseudo-labels of the detector that found them: `distill.detector.distill`. Each is a
recipe of its own, made of the user's, and boxes are found once:

    work_dir/joint.json       what was done, and what it was made of
    work_dir/detector.py      the recipe of the detector, for all other tools
    work_dir/detector/        its student
    work_dir/poses.py         the recipe of the poses, in the same boxes
    STORE_boxes/              the detection store: its labels, and the boxes of poses
    STORE/                    the label store
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config.datasets import leak_guard_config
from mmdistill.config.detector_options import BoxViewsConfig
from mmdistill.config.detectors import OF_POSE_SECTIONS, is_detector
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import stated
from mmdistill.config.text import write_config
from mmdistill.engine.hooks.plain_model_hook import MODEL_FILE
from mmdistill.errors import ConfigError, StoreError
from mmdistill.stages.detect_config import detector_config
from mmdistill.stages.kept_student import STUDENT_FILE
from mmdistill.stages.label_config import labeled_members
from mmdistill.stages.round_commands import Followers, round_commands
from mmdistill.stages.step_contents import (
    OF_THE_RUN,
    annotation_prints,
    file_print,
    settings_text,
)
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS
from mmdistill.utils.commands import LOCK_FILE, locked
from mmdistill.utils.files import json_sha256, read_json
from mmdistill.utils.ledger import LAST_CHECKPOINT, Execute, FileRecords, Ledger, Step

LEDGER_FILE = 'joint.json'
DETECTOR, POSES = 'detector', 'poses'
LOCK_SECONDS = 10.0
"""Time that the command of a run that was killed has to end."""
LABEL, TRAIN = 'tools/label.py', 'tools/train.py'


def run_jointly(recipe: Recipe, tool: str, execute: Execute | None = None) -> None:
    """Run a tool for the detector, then for the poses in its boxes.

    Each runs in a process of its own. What is done with the same files and settings is
    not done again, and a training that was stopped goes on.

    Args:
        recipe: A recipe with `distill.detector.distill`.
        tool: `LABEL` or `TRAIN`.
        execute: Runs a command; by default in a process of its own.

    Raises:
        UserError: If a recipe cannot be made of it, a command fails, or another process
            does the same.
    """
    commands = round_commands(recipe.config)
    if isinstance(commands, Followers):
        commands.follow()
        return
    joint = Joint(recipe)
    detector = joint.detector
    with locked(joint.root, LOCK_SECONDS):
        write_config(detector, joint.file(DETECTOR))
        joint.perform(DETECTOR, tool, detector, execute or commands)
        poses = joint.poses()
        write_config(poses, joint.file(POSES))
        joint.perform(POSES, tool, poses, execute or commands)
    commands.end()


class Joint:
    """The two recipes of a joint distillation.

    Args:
        recipe: A recipe with `distill.detector.distill`.

    Attributes:
        root: The work folder.
        boxes: Folder of the detection store.
        detector: Config of the detector's recipe.

    Raises:
        UserError: If its detector's config is not one to train, or boxes are merged
            otherwise than by voting.
    """

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.distill.detector is not None
        self.recipe, self._section = recipe, recipe.distill.detector
        self.root = Path(recipe.config.get('work_dir') or '.')
        self.boxes = Path(str(recipe.distill.boxes_folder))
        self.detector = self._detector()

    def file(self, name: str) -> Path:
        """The file of a recipe.

        Args:
            name: `DETECTOR` or `POSES`.
        """
        return self.root / f'{name}.py'

    def poses(self) -> Config:
        """Config of the recipe of the poses, once the boxes are found.

        Raises:
            StoreError: If no box of the store is of a class of the labeled poses.
        """
        config = copy.deepcopy(self.recipe.config)
        section = config.distill
        section.pop('detector')
        unlabeled = dict(section.unlabeled, detections=str(self.boxes))
        if unlabeled.get('category_ids') is None:
            unlabeled['category_ids'] = self._category_ids()
        section.unlabeled = unlabeled
        section.leak_guard = copy.deepcopy(self.detector.distill.leak_guard)
        return config

    def perform(self, name: str, tool: str, config: Config, execute: Execute) -> None:
        """Do a step, unless it is done.

        Args:
            name: `DETECTOR` or `POSES`.
            tool: The tool.
            config: The recipe.
            execute: Runs a command.
        """
        command = [tool, str(self.file(name))]
        if tool == LABEL:
            # A store knows itself what is left of it.
            execute(command, self.root / 'label.txt')
            return
        folder = Path(config.work_dir)
        rounds = config.distill.get('rounds') is not None
        step = Step(
            name=name,
            commands=[command],
            folder=folder,
            fingerprint=json_sha256(_content(config, self.root)),
            # Rounds have a ledger of their own, and what is not trained is not moved.
            stays=rounds or not (folder / LAST_CHECKPOINT).is_file(),
            keeps=self._kept(name),
        )
        made = folder / (STUDENT_FILE if rounds else MODEL_FILE)
        ledger = Ledger(FileRecords(self.root / LEDGER_FILE))
        ledger.ensure(step, execute, made.is_file)

    def _kept(self, name: str) -> Sequence[Path]:
        """What lies in the folder of a step and is of others."""
        if name == DETECTOR:
            return []
        store = Path(self.recipe.distill.store)
        files = (LEDGER_FILE, LOCK_FILE, f'{DETECTOR}.py', f'{POSES}.py')
        own = [self.root / file for file in files]
        audits = store.with_name(f'{store.name}-audit')
        return [*own, self.root / DETECTOR, self.boxes, store, audits]

    def _detector(self) -> Config:
        """Config of the recipe of the detector."""
        section = self._section
        config = copy.deepcopy(detector_config(section))
        if section.tta:
            raise ConfigError(
                'a detector that is distilled merges its views by voting: name them in '
                'distill.detector.views instead of tta=True'
            )
        if not is_detector(config) or not config.get('train_dataloader'):
            raise ConfigError(
                f'distill.detector.distill trains a detector, and {section.config} has '
                "no train_dataloader, or not the scope of MMDetection's models; name "
                'its training config'
            )
        for key in ('launcher', 'randomness'):
            if key in self.recipe.config:
                config[key] = copy.deepcopy(self.recipe.config[key])
        config.work_dir = str(self.root / DETECTOR)
        config.distill = self._sections(config)
        config.distill.leak_guard = self._leak_guard(Recipe.of(config))
        return config

    def _sections(self, config: Config) -> dict[str, Any]:
        """The section `distill` of the detector, with what its own config states."""
        detector, distill = self._section, self.recipe.distill
        schedule = None if distill.schedule is None else stated(distill.schedule)
        own: dict[str, Any] = dict(schedule=schedule)
        own['worth_images'] = distill.worth_images
        own.update((config.get('distill') or {}).copy())
        unlabeled = {
            key: value
            for key, value in stated(distill.unlabeled).items()
            if key not in OF_POSE_SECTIONS['unlabeled']
        }
        running = {
            name: getattr(detector, name) or getattr(distill.labeling, name)
            for name in ('batch_size', 'num_workers', 'chunk_size')
        }
        own.update(
            teacher=dict(checkpoint=detector.checkpoint),
            unlabeled=unlabeled,
            views=asdict(detector.views or BoxViewsConfig()),
            labeling=dict(
                running,
                score_floor=detector.score_thr,
                nms_thr=detector.nms_thr,
                max_failures=distill.labeling.max_failures,
            ),
            store=str(self.boxes),
        )
        return own

    def _leak_guard(self, detector: Recipe) -> Any:
        """The validation sets of both recipes, which both leave out."""
        guards = [leak_guard_config(each, {}) for each in (self.recipe, detector)]
        if None in guards:
            return False
        sets = [files for guard in guards if guard for files in guard['val']]
        return list({repr(files): files for files in sets}.values())

    def _category_ids(self) -> list[int]:
        """Categories of the boxes that poses are labeled in."""
        store = LabelStore(self.boxes, BOX_LABELS)
        stored: dict[str, int] = store.manifest['detector']['categories']
        wanted = self._section.categories
        names = set(self._labeled_names() if wanted is None else wanted)
        shared = [number for name, number in stored.items() if name in names]
        if wanted is None and len(stored) == len(names) == 1:
            shared = list(stored.values())
        if not shared:
            raise StoreError(
                f'the boxes of {self.boxes} are of {", ".join(stored)}, and poses are '
                f'wanted of {", ".join(sorted(names)) or "no class"}; name a detector '
                'that has these, or distill.detector.categories'
            )
        return shared

    def _labeled_names(self) -> list[str]:
        """Categories of the labeled poses."""
        names = []
        for member in labeled_members(self.recipe):
            root = Path(member.get('data_root') or '')
            content = read_json(root / member['ann_file'], 'the labeled set')
            names += [each['name'] for each in content.get('categories', ())]
        return names


def _content(config: Config, root: Path) -> list[Any]:
    """What a recipe's student is made of."""
    recipe = Recipe.of(config)
    detections = recipe.distill.unlabeled.detections
    boxes = LabelStore(detections, BOX_LABELS).digest() if detections else ''
    return [
        settings_text(config, OF_THE_RUN - {'distill'}, root),
        annotation_prints(labeled_members(recipe)),
        [file_print(teacher.checkpoint) for teacher in recipe.distill.teachers],
        file_print(config.get('load_from')),
        boxes,
    ]
