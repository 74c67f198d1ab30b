"""Every recipe: its length, its data and models, and a training of each family."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from mmdistill import stages
from mmdistill.config.recipe import Recipe
from mmdistill.datasets import UnlabeledDataset
from mmdistill.models import HeatmapFusionTTA
from mmdistill.stages.label_config import label_config
from mmdistill.stages.train_config import student_config
from tests.helpers.image_students import shrink

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / 'configs' / 'distill'
ZOO = ('coco', 'ap10k', 'face', 'hand')
CONFIGS = [path for name in ZOO for path in sorted((FOLDER / name).glob('*.py'))]
RECIPES = [path for path in CONFIGS if 'distill = dict(' in path.read_text()]
README = (REPOSITORY / 'configs' / 'README.md').read_text()
FIRST = FOLDER / 'coco' / 'res50_co-35_co-80.py'
FAMILIES = [
    'coco/res50_co-35_co-80',
    'coco/mobilenetv2_co-115_videos',
    'coco/vitpose-s_co-115_un-120',
    'coco/rtmpose-s_co-115_un-120',
    'coco/hrnet-w48_to_mobilenetv2',
    'coco/rtmo-s_co-115_un-120',
    'face/hrnetv2-w18_300w',
]


def named(paths: list[Path]) -> list:
    return [pytest.param(p, id=f'{p.parent.name}/{p.stem}') for p in paths]


def read(path: Path) -> Config:
    if 'vitpose' in path.name:
        pytest.importorskip('mmpretrain')
    init_default_scope('mmpose')
    return Config.fromfile(path)


def sees_images(config: Config) -> bool:
    """Whether the student sees whole images, and not crops of instances."""
    return config.model.type == 'BottomupPoseEstimator'


def statements(path: Path) -> int:
    """Lines of a config without its docstring, comments and empty lines."""
    tree = ast.parse(path.read_text())
    return sum(node.end_lineno - node.lineno + 1 for node in tree.body[1:])


@pytest.mark.parametrize('path', named(CONFIGS))
def test_the_docstring_has_the_command(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))

    assert f'python tools/train.py {path.relative_to(REPOSITORY)}' in docstring
    assert 'Needs' in docstring or 'must have run' in docstring


@pytest.mark.parametrize('path', named(CONFIGS))
def test_a_recipe_is_short(path):
    assert len(path.read_text().splitlines()) <= 40
    if path.parent.name == 'coco' and path != FIRST:
        assert statements(path) <= 10


@pytest.mark.parametrize('path', named(RECIPES))
def test_both_stages_have_their_data(path, write_miniature):
    config = read(path)
    write_miniature(config)

    unlabeled = DATASETS.build(label_config(Recipe.of(config)).test_dataloader.dataset)
    labeled, pseudo = student_config(
        Recipe.of(config)
    ).train_dataloader.dataset.datasets

    assert isinstance(unlabeled, UnlabeledDataset)
    assert [len(unlabeled[i]['data_samples'].gt_instances) for i in range(3)] == [1] * 3
    # Two instances on each of three images.
    images = sees_images(config)
    assert len(DATASETS.build(dict(labeled, pipeline=[]))) == (3 if images else 6)
    kind = 'PseudoImageDataset' if images else 'PseudoLabelDataset'
    assert (pseudo.type, pseudo.store) == (f'mmdistill.{kind}', config.distill.store)


@pytest.mark.parametrize('path', named(RECIPES))
def test_both_stages_have_their_model(path, write_miniature):
    config = read(path)
    write_miniature(config)
    fused = label_config(Recipe.of(config)).model

    with torch.device('meta'):
        student = MODELS.build(config.model)
    teacher = MODELS.build(fused)

    assert isinstance(teacher, HeatmapFusionTTA)
    assert len(teacher.plan.views) == 18
    keypoints = 'num_keypoints' if sees_images(config) else 'out_channels'
    assert getattr(student.head, keypoints) == teacher.module.head.out_channels


@pytest.mark.parametrize(
    'path', named([path for path in RECIPES if path.parent.name == 'coco'])
)
def test_the_paper_s_scales_are_resolutions_where_the_output_grows(path):
    views = read(path).distill.views
    simcc = path.stem.startswith('rtmpose')
    shown, fixed = ('scales', 'resolutions') if simcc else ('resolutions', 'scales')
    nine = [0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5]
    assert list(views[shown]) == nine
    assert list(views[fixed]) == [1.0]


@pytest.mark.parametrize('name', FAMILIES)
def test_a_family_labels_and_trains(name, write_miniature):
    config = read(FOLDER / f'{name}.py')
    write_miniature(config)
    if sees_images(config):
        config = shrink(config)
        # Its teacher is built above, and trained as a family of its own.
        config.distill.teacher.config = str(
            FOLDER / 'coco' / 'mobilenetv2_co-115_un-120.py'
        )
    _make_quick(config)
    _write_teacher(config)

    stages.train(config)

    assert (Path(config.work_dir) / 'iter_2.pth').is_file()


def test_the_recipe_of_the_readme_labels_and_trains(tmp_path, write_miniature):
    block = re.search(r'```python\n("""(configs/.+?\.py):.+?)```', README, re.DOTALL)
    assert block
    path = tmp_path / Path(block[2]).name
    path.write_text(block[1].replace('../../_base_', str(FOLDER.parent / '_base_')))
    config = read(path)
    write_miniature(config)
    _make_quick(config)
    _write_teacher(config)

    stages.train(config)

    assert statements(path) < 10
    assert (Path(config.work_dir) / 'iter_2.pth').is_file()


@pytest.mark.parametrize('path', named(RECIPES))
def test_the_readme_lists_it(path):
    """As it stands, or as one of `{several,others}` or of the NAMEs of a row."""
    table = README.partition('## Recipes')[2].partition('```')[0]
    listed = re.findall(r'`([^`\n]+)`', table)
    names = {full for each in listed for full in _expanded(each)}
    settings = re.findall(r'`coco/NAME_([^`]+)`', table)
    names |= {f'coco/{each}_{setting}' for each in listed for setting in settings}

    assert f'{path.parent.name}/{path.stem}' in names


def _expanded(name: str) -> list[str]:
    several = re.fullmatch(r'(.*)\{(.+)\}(.*)', name)
    if not several:
        return [name]
    return [several[1] + each + several[3] for each in several[2].split(',')]


def _make_quick(config: Config) -> None:
    """The recipe with one view, two steps, and weights from no network."""
    config.work_dir = 'work'
    config.model.backbone.init_cfg = None
    if config.distill.pop('detector', None):
        unlabeled = config.distill.unlabeled
        unlabeled.bbox_file = str(Path(unlabeled.data_root, 'boxes.json'))
    config.distill.update(
        views=dict(scales=(1.0,), flip=False),
        labeling=dict(batch_size=3, num_workers=0, score_floor=-1.0),
        selection=dict(config.distill.get('selection', {}), keypoint_thr=-1.0),
        schedule=None,
    )
    # SyncBN needs a process group.
    text = re.sub("'SyncBN'", "'BN'", repr(config.model.to_dict()))
    config.model = ast.literal_eval(text)
    config.train_dataloader.update(
        batch_size=4, num_workers=0, persistent_workers=False
    )
    pipeline = config.train_dataloader.dataset.pipeline
    if not importlib.util.find_spec('albumentations'):
        pipeline[:] = [each for each in pipeline if each.type != 'Albumentation']
    config.train_cfg = dict(by_epoch=False, max_iters=2)
    config.param_scheduler = []
    config.custom_hooks = []
    config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=2
    )
    config.val_cfg = config.val_dataloader = config.val_evaluator = None


def _write_teacher(config: Config) -> None:
    """A teacher that knows nothing."""
    path = Path('teacher.pth')
    source = config.distill.teacher.get('config')
    teacher = Config.fromfile(source) if source else config
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(teacher.model).state_dict()), path)
    config.distill.teacher.checkpoint = str(path)
