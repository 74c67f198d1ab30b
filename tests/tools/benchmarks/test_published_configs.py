"""A sample of MMPose's published configs through the tools, and the table of all.

The whole suite is `python -m tools.benchmarks.published_configs`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

BODY = 'body_2d_keypoint'
COCO = f'{BODY}/topdown_heatmap/coco/td-hm'
SWITCHING = {
    'RTMPose, stock': f'{BODY}/rtmpose/humanart/rtmpose-t_8xb256-420e_humanart-256x192',
    'RTMPose, body8': f'{BODY}/rtmpose/body8/'
    'rtmpose-t_8xb1024-700e_body8-halpe26-256x192',
}
SAMPLE = {
    **SWITCHING,
    'MPII': f'{BODY}/topdown_heatmap/mpii/td-hm_shufflenetv2_8xb64-210e_mpii-256x256',
    'RLE': f'{BODY}/topdown_regression/coco/'
    'td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192',
    'UDP, combined': f'{COCO}_hrnet-w32_udp-regress-8xb64-210e_coco-256x192',
    'mixed precision': f'{COCO}_res50_fp16-8xb64-210e_coco-256x192',
    'face': 'face_2d_keypoint/topdown_heatmap/coco_wholebody_face/'
    'td-hm_mobilenetv2_8xb32-60e_coco-wholebody-face-256x256',
    'clothes': 'fashion_2d_keypoint/topdown_heatmap/deepfashion/'
    'td-hm_res50_8xb64-210e_deepfashion_upper-256x192',
    'animal': 'animal_2d_keypoint/topdown_heatmap/zebra/'
    'td-hm_res50_8xb64-210e_zebra-160x160',
    'whole body': 'wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/'
    'td-hm_vipnas-mbv3_8xb64-210e_coco-wholebody-256x192',
}
REFUSED = {
    'AssociativeEmbeddingHead': f'{BODY}/associative_embedding/coco/'
    'ae_hrnet-w32_8xb24-300e_coco-512x512',
    'the transform PackPoseInputs': f'{BODY}/yoloxpose/coco/'
    'yoloxpose_tiny_4xb64-300e_coco-416',
    'DWPoseDistiller': 'wholebody_2d_keypoint/dwpose/coco-wholebody/s1_dis/'
    'dwpose_l_dis_m_coco-256x192',
    r'edpose_res50_8xb2-50e_coco-800x1333\.py has the new form of configs': f'{BODY}/'
    'edpose/coco/edpose_res50_8xb2-50e_coco-800x1333',
    'HalpeHandDataset': 'hand_2d_keypoint/rtmpose/hand5/'
    'rtmpose-m_8xb256-210e_hand5-256x256',
}


@pytest.fixture(scope='module')
def trial(load):
    return load('published_configs.trial')


@pytest.fixture(scope='module')
def suite(load):
    return load('published_configs.__main__')


@pytest.fixture(scope='module')
def table(load):
    return load('published_configs.table')


@pytest.fixture
def take(trial, tmp_path, monkeypatch):
    """Take a config through the tools, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmdistill.plans.estimate.BATCHES', 1)
    return lambda name: trial.try_config(f'{name}.py', tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('kind', SAMPLE)
def test_a_published_config_works_in_every_tool(kind, take, tmp_path):
    if kind in SWITCHING:
        pytest.importorskip('albumentations')

    stages = take(SAMPLE[kind])['stages']

    assert stages == dict.fromkeys(('plan', 'label', 'select_labels', 'train'), 'works')
    logs = ''.join(path.read_text() for path in tmp_path.glob('work/*/*.log'))
    assert ('the pipeline switches at epoch 1' in logs) == (kind in SWITCHING)
    assert ('runs in single precision' in logs) == (kind == 'mixed precision')


@pytest.mark.parametrize('name', REFUSED)
def test_a_model_or_data_set_of_another_kind_is_refused_in_the_same_words(name, take):
    stages = take(REFUSED[name])['stages']

    assert re.match(f'refused: .*{name}', stages['plan'])
    assert stages['plan'] == stages['label'] == stages['train']


@pytest.mark.parametrize(
    ('name', 'boxes'),
    [
        (f'{BODY}/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640', False),
        (SAMPLE['animal'], True),
    ],
)
def test_a_model_that_finds_instances_itself_gets_no_boxes(
    name, boxes, trial, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = trial.read_published(f'{name}.py')
    recipe = Path(trial.write_recipe(f'{name}.py', config)).read_text()
    assert ('bbox_file' in recipe) == boxes


def test_every_config_of_the_wheel_is_taken(suite, trial):
    names = suite.published()

    assert len(names) == len(set(names)) >= 350
    assert {f'{name}.py' for name in (*SAMPLE.values(), *REFUSED.values())} <= {*names}
    assert all((trial.published_root() / name).is_file() for name in names)


@pytest.fixture
def runs(suite, monkeypatch):
    """Configs that were run, with a stand-in for what a child process does."""
    names = []

    def run_apart(name, seconds, keep):
        names.append(name)
        ends = 'defect: KeyError: a' if 'mpii' in name else 'works'
        return dict(config=name, stages=dict(plan='works', train=ends))

    monkeypatch.setattr(suite, 'run_apart', run_apart)
    monkeypatch.setattr(suite, 'warm_up', lambda: None)
    return names


def test_only_what_has_no_result_is_run(suite, runs, tmp_path):
    results = tmp_path / 'some' / 'results.jsonl'
    arguments = ['--resume', str(results), '--only', 'body.*/simcc/coco/']

    assert suite.main(arguments) == 0
    first = [*runs]
    lines = [line for line in results.read_text().splitlines() if line]
    # One result is taken out and another is cut short by a kill.
    results.write_text('\n'.join([*lines[2:], lines[1][:20]]))
    runs.clear()
    suite.main(arguments)

    assert len(first) > 3
    assert sorted(runs) == sorted(first[:2])
    assert {row['config'] for row in suite.read_results(results)} == {*first}


def test_an_error_that_is_no_sentence_ends_with_exit_code_1(suite, runs, tmp_path):
    assert suite.main(['--resume', str(tmp_path / 'a'), '--only', 'mpii-256x256']) == 1


def test_a_child_that_dies_or_does_not_end_is_a_result(suite, monkeypatch):
    def die(name, folder, sender):
        raise SystemExit(3)

    def never_end(name, folder, sender):
        import time

        time.sleep(60)

    monkeypatch.setattr(suite, '_child', die)
    assert 'ended with 3' in json.dumps(suite.run_apart('a.py', 20))
    monkeypatch.setattr(suite, '_child', never_end)
    assert 'no end within 0 s' in json.dumps(suite.run_apart('a.py', 0.1))


ROWS = [
    dict(
        config='face/x/a.py',
        estimator='TopdownPoseEstimator',
        head='HeatmapHead',
        codec='MSRAHeatmap',
        dataset='WFLWDataset',
        stages=dict(plan='works', label='works'),
    ),
    dict(config='face/x/c.py', stages=dict(plan='refused: A|B: c', train='refused: d')),
]
ROWS.append(dict(ROWS[0], config='face/x/b.py'))


def test_the_table_has_every_config_with_what_it_comes_to(table):
    names = [*(row['config'] for row in ROWS), 'face/x/d.py']

    lines = table.render(ROWS, names, 'abc1234').splitlines()

    assert (
        'Of 4 2-D configs 2 work, 1 are refused with the sentence given, 1 are open.'
        in lines
    )
    assert lines[-5:-2] == [
        '| face/x: `a`, `b` | WFLWDataset | HeatmapHead (MSRAHeatmap) | works |',
        r'| face/x: `c` |  |  | refused by plan: A\|B: c |',
        '| face/x: `d` |  |  | not run yet |',
    ]


def test_the_table_names_the_commits_of_several_runs(table):
    at = [dict(row, revision=name) for row, name in zip(ROWS, 'aba', strict=True)]
    assert 'commit c from runs of 2 at a, 1 at b, with' in table.render(at, [], 'c')
    assert 'commit c, with' in table.render(at[:1], [], 'c')


def test_the_table_takes_the_place_of_the_one_before(table, tmp_path):
    path = tmp_path / 'README.md'

    table.put_into(path, table.render([], ['a/b.py'], 'one'))
    path.write_text(f'# Mine\n{path.read_text()}\nafter\n')
    table.put_into(path, table.render([], ['a/b.py'], 'two'))

    text = path.read_text()
    assert text.startswith('# Mine\n')
    assert text.endswith('\nafter\n')
    assert text.count(table.BEGIN) == text.count(table.END) == 1
    assert 'commit two' in text
    assert 'commit one' not in text
