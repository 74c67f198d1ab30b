"""A recipe: a config with its `distill` section, read once and handed down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import Config

from mmdistill.config.detector_options import DetectorConfig
from mmdistill.config.host_kinds import check_host_keys
from mmdistill.config.key_names import check_key_names
from mmdistill.config.kinds import errors_of, unknown_key
from mmdistill.config.renamed import KEYS, check_arguments, renamed_key
from mmdistill.config.schema import DistillConfig, TeacherConfig, ViewsConfig
from mmdistill.errors import CheckpointError, ConfigError, UserError

T = TypeVar('T')
LABELS = 'labels'
"""Name of the label store in the folder of a round."""
OFF_IF_EMPTY = ('distill.detector', 'distill.audit')
"""Sections that state nothing when they are empty."""


@dataclass(frozen=True)
class Recipe:
    """A config and what its `distill` section states, defaults filled in.

    Attributes:
        config: The config; nothing reads its section again.
        distill: The section.
    """

    config: Config
    distill: DistillConfig

    @staticmethod
    def of(config: Config) -> Recipe:
        """Read the section of a config.

        Args:
            config: The user's config; it stays as it is.

        Raises:
            UserError: If there is no section, it lacks what has no default, or states
                what cannot be; all that is wrong is said at once.
        """
        check_key_names(config)
        section = config.get('distill')
        if section is None:
            raise ConfigError(
                f'{config.filename} has no distill section, which names the teacher, '
                'the unlabeled images and the label store'
            )
        check_host_keys(config)
        check_arguments(config)
        reader = _Reader()
        values = reader.values('distill', section, DistillConfig)
        if isinstance(section, Mapping):
            reader.errors += _missing(config, section)
            values.setdefault('store', first_store(config))
            reader.errors += _doubled_boxes(values)
        reader.raise_errors(config)
        return Recipe(config, DistillConfig(**values))

    def at(self, config: Config) -> Recipe:
        """The recipe with another state of its config.

        Args:
            config: The config, changed but for its section; the labeled set that the
                section names may be another by its files.
        """
        return Recipe(config, replace(self.distill, labeled=stated_labeled(config)))


def stated_views(config: Config) -> ViewsConfig:
    """The views of a config, whose section may be incomplete or missing.

    Args:
        config: Any config.

    Raises:
        UserError: If the section states what cannot be.
    """
    return _stated_values(config).get('views', ViewsConfig())


def stated_store(config: Config) -> str | None:
    """The label store that a config names, whose section may be incomplete.

    Args:
        config: Any config.

    Raises:
        UserError: If the section states what cannot be.
    """
    values = _stated_values(config)
    return values.get('store') or (first_store(config) if 'rounds' in values else None)


def stated_labeled(config: Config) -> Mapping[str, Any] | None:
    """The labeled set that a config names, whose section may be incomplete.

    Args:
        config: Any config.

    Returns:
        The dict that stands in the config: what is changed in it changes the config.

    Raises:
        UserError: If the section states what cannot be.
    """
    return _stated_values(config).get('labeled')


def first_store(config: Config) -> str:
    """The label store of the first round, where a recipe with rounds states none.

    Args:
        config: The recipe's config.
    """
    return str(round_folder(config, 1) / LABELS)


def round_folder(config: Config, number: int) -> Path:
    """The folder of a round, below the work folder.

    Args:
        config: The recipe's config.
        number: Number of the round, from 1.
    """
    return Path(config.get('work_dir') or '.', f'round_{number}')


def check_checkpoint(role: str, section: TeacherConfig | DetectorConfig) -> str:
    """Make sure that a model's checkpoint is there, before anything is built.

    Args:
        role: What the model is, as the section of `distill` that names it.
        section: That section, or one of several.

    Returns:
        The checkpoint.

    Raises:
        UserError: If none is named, or there is no such file.
    """
    checkpoint = section.checkpoint
    if not checkpoint:
        raise ConfigError(f'distill.{role}.checkpoint must name a checkpoint, got none')
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise CheckpointError(
            f'the {role} checkpoint {checkpoint} does not exist; train the {role} '
            f'first, or set distill.{role}.checkpoint'
        )
    return checkpoint


def _stated_values(config: Config) -> dict[str, Any]:
    section = config.get('distill')
    if section is None:
        return {}
    reader = _Reader()
    values = reader.values('distill', section, DistillConfig)
    reader.raise_errors(config)
    return values


@dataclass
class _Reader:
    """Reads sections into their classes, and collects what is wrong with them."""

    errors: list[str] = field(default_factory=list)

    def values(self, name: str, section: Any, kind: type) -> dict[str, Any]:
        """Read the fields of a class that a section states, without what is wrong."""
        if not isinstance(section, Mapping):
            self.errors.append(f'{name} must be a dict, got {section!r}')
            return {}
        known = {each.name: each for each in fields(kind)}
        values: dict[str, Any] = {}
        off: dict[str, None] = {}
        for key, value in section.items():
            path = f'{name}.{key}'
            if key not in known:
                sentence = renamed_key(path, value)
                self.errors.append(sentence or unknown_key(name, str(key), known))
            elif value is None and known[key].metadata.get('none_is_off'):
                off[key] = None
            elif value is not None:  # else it has its default
                metadata = known[key].metadata
                if metadata.get('several'):
                    values[key] = self._subsections(path, value, metadata['section'])
                    continue
                if 'section' in metadata:
                    values[key] = self._subsection(path, value, metadata['section'])
                    continue
                if key != 'labeled':
                    value = _normalized(value)
                wrong = list(errors_of(path, value, metadata['kind']))
                self.errors += wrong
                if not wrong:
                    values[key] = value
        return {k: value for k, value in values.items() if value is not None} | off

    def _subsections(
        self, name: str, value: Any, kind: type[T]
    ) -> tuple[T, ...] | None:
        """One section or a list of them, of which a text states the checkpoint."""
        if not isinstance(value, (list, tuple)):
            section = self._subsection(name, value, kind)
            return None if section is None else (section,)
        if not value:
            self.errors.append(f'{name} must have at least one element, got {value!r}')
        sections = []
        for number, element in enumerate(value):
            if isinstance(element, (str, os.PathLike)):
                element = dict(checkpoint=element)
            if isinstance(element, Mapping):
                sections.append(self._subsection(f'{name}[{number}]', element, kind))
            else:
                self.errors.append(f'each of {name} must be a dict, got {element!r}')
        known = tuple(section for section in sections if section is not None)
        return known if len(known) == len(value) else None

    def _subsection(self, name: str, section: Any, kind: type[T]) -> T | None:
        before = len(self.errors)
        values = self.values(name, section, kind)
        if len(self.errors) > before or (not values and name in OFF_IF_EMPTY):
            return None
        try:
            return kind(**values)
        except UserError as error:
            self.errors.append(f'{name}: {error}')
            return None

    def raise_errors(self, config: Config) -> None:
        """Say all that is wrong, each in a line where it is more than one thing."""
        if len(self.errors) == 1:
            raise ConfigError(self.errors[0])
        if self.errors:
            lines = ''.join(f'\n- {error}' for error in self.errors)
            raise ConfigError(
                f'the distill section of {config.filename} has {len(self.errors)} '
                f'errors:{lines}'
            )


def _normalized(value: Any) -> Any:
    """A value with paths as texts, and without keys whose value is None."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        inner = {key: _normalized(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each is not None}
    return value


def _missing(config: Config, section: Mapping[str, Any]) -> list[str]:
    """List what a section lacks, without what it states by its former name."""
    former = {KEYS.get(f'distill.{key}') for key in section}
    if section.get('rounds') is not None:
        former.add('distill.store')
    return [
        f'the distill section of {config.filename} has no {each.name}'
        for each in fields(DistillConfig)
        if each.default is each.default_factory is MISSING
        and section.get(each.name) is None
        and f'distill.{each.name}' not in former
    ]


def _doubled_boxes(values: Mapping[str, Any]) -> list[str]:
    """Refuse boxes from two sources at once."""
    unlabeled = values.get('unlabeled')
    names = [f'unlabeled.{name}' for name in unlabeled.box_sources] if unlabeled else []
    if values.get('detector'):
        names.append('detector')
    if len(names) < 2:
        return []
    return [
        'boxes are given by distill.unlabeled (bbox_file, detections) or found by '
        f'distill.detector, got {" and ".join(names)}'
    ]
