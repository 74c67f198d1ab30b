"""What labels can be worth, told between labeling and training."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.audits import audit, audited_set, report_label_worth
from mmdistill.audits.label_views import are_labeled
from mmdistill.cli.arguments import add_config_arguments, load_config
from mmdistill.config.recipe import Recipe
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL, QUICK, call_tool, contents

LABELS = Path('work_dirs/toy/labels')
STORES = Path('work_dirs/toy/labels-audit')
FILE = LABELS / 'label_worth.json'
NOT_MEASURED = 'what the labels can be worth is not measured: '


def read(*options: str) -> Config:
    """The recipe of the workshop, as a tool reads it."""
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    arguments = [STUDENT, '--cfg-options', *DISTILL, *options]
    return load_config(parser.parse_args(arguments))


def test_it_is_told_after_the_labels_and_before_the_student(workshop, capfd):
    options = [*QUICK, *DISTILL, 'train_cfg.max_iters=2', 'train_cfg.val_interval=9']

    assert (
        call_tool('train', STUDENT, '--work-dir', 's', '--cfg-options', *options) == 0
    )

    out = capfd.readouterr().out
    labeled = out.index('labeling: ')
    told = out.index('what the labels can be worth (')
    assert labeled < told < out.index('the student sees')
    # A teacher of two iterations finds nothing.
    assert 'so what they can be worth is not known' in out[told:]
    assert FILE.is_file()
    assert Path('s/iter_2.pth').is_file()


def test_it_is_what_an_audit_of_the_same_images_finds(workshop):
    worth = report_label_worth(read())
    recipe = Recipe.of(read())
    before = contents(STORES)

    found = audit(recipe, audited_set(recipe))

    assert worth.errors == pytest.approx(found.gains_error, nan_ok=True)
    assert worth.precision == found.gains
    assert worth.images == found.audited.images == 2
    # It was not labeled again.
    assert contents(STORES) == before


def test_what_is_known_is_not_measured_again(workshop, logged, monkeypatch):
    first = report_label_worth(read())
    written = FILE.read_bytes()
    monkeypatch.setattr('mmdistill.stages.test', lambda config: pytest.fail('again'))

    assert report_label_worth(read()).to_json() == first.to_json()

    assert FILE.read_bytes() == written
    assert any('worth (measured before): on 2 images' in line for line in logged)
    # Of other images it is measured anew.
    shutil.rmtree(STORES)
    with pytest.raises(pytest.fail.Exception, match='again'):
        report_label_worth(read('distill.worth_images=1'))


def test_a_measurement_that_was_stopped_ends_in_the_same_file(workshop):
    report_label_worth(read())
    before = contents(STORES), FILE.read_bytes()
    next(STORES.rglob('fused/chunks/*.parquet')).unlink()
    FILE.write_text('{}')

    report_label_worth(read())

    assert (contents(STORES), FILE.read_bytes()) == before


def test_a_sample_is_labeled_alone(workshop):
    worth = report_label_worth(read('distill.worth_images=1'))
    assert (worth.images, worth.listed) == (1, 2)
    (sample,) = STORES.glob('samples/*.json')
    assert len(json.loads(sample.read_text())['images']) == 1


def test_where_an_audit_is_there_nothing_is_labeled_for_it(workshop):
    recipe = Recipe.of(read())
    found = audit(recipe, audited_set(recipe))
    before = contents(STORES)

    worth = report_label_worth(read('distill.worth_images=1'))

    assert (worth.images, worth.listed) == (2, 2)
    assert worth.precision == found.gains
    assert contents(STORES) == before


def test_an_audit_that_was_stopped_is_not_used(workshop):
    recipe = Recipe.of(read())
    audit(recipe, audited_set(recipe))
    next(STORES.rglob('flip/chunks/*.parquet')).unlink()
    assert report_label_worth(read('distill.worth_images=1')).images == 1


def test_an_audit_that_is_damaged_is_not_used(workshop):
    recipe = Recipe.of(read())
    audit(recipe, audited_set(recipe))
    next(STORES.rglob('fused/manifest.json')).write_text('{')
    assert report_label_worth(read('distill.worth_images=1')).images == 1


def test_an_audit_of_other_labels_is_not_used(workshop):
    recipe = Recipe.of(read())
    audit(recipe, audited_set(recipe))
    (folder,) = (path.parent for path in STORES.rglob('fused'))
    assert are_labeled(recipe, folder)
    shutil.rmtree(LABELS)
    others = 'distill.views.scales=[1.0,1.5]'
    assert call_tool('label', STUDENT, '--cfg-options', *DISTILL, others) == 0
    assert not are_labeled(Recipe.of(read(others)), folder)


@pytest.mark.parametrize('num', ['0', 'None'])
def test_it_can_be_switched_off(workshop, logged, num):
    assert report_label_worth(read(f'distill.worth_images={num}')) is None
    assert not FILE.exists()
    assert not any('worth' in line for line in logged)


def validated_on(name: str) -> dict[str, object]:
    """The change of a config that names another json of the validation set."""
    return dict(val_dataloader=dict(dataset=dict(ann_file=f'annotations/{name}.json')))


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (dict(val_dataloader=None), 'no single validation set with annotations'),
        (validated_on('none'), 'none.json, which the audit needs, does not exist'),
        (
            validated_on('labeled'),
            'the teacher was trained on the images of data/toy/annotations/labeled',
        ),
        (validated_on('empty'), 'empty.json has no image with keypoints'),
    ],
)
def test_where_it_cannot_be_measured_a_sentence_says_why(
    workshop, logged, changes, reason
):
    content = json.loads(Path('data/toy/annotations/val.json').read_text())
    content['annotations'] = []
    Path('data/toy/annotations/empty.json').write_text(json.dumps(content))
    config = read()
    config.merge_from_dict(changes)

    assert report_label_worth(config) is None

    (line,) = (line for line in logged if line.startswith(NOT_MEASURED))
    assert reason in line
    assert not FILE.exists()


def test_images_that_were_trained_on_are_left_out(workshop):
    """The validation set has the labeled images too."""
    annotations = Path('data/toy/annotations')
    both: dict[str, list] = dict(images=[], annotations=[])
    for first, name in ((0, 'val'), (1000, 'labeled')):
        content = json.loads((annotations / f'{name}.json').read_text())
        for image in content['images']:
            named = dict(
                id=first + image['id'], file_name=f'{name}/{image["file_name"]}'
            )
            both['images'].append(image | named)
        for each in content['annotations']:
            ids = dict(id=first + each['id'], image_id=first + each['image_id'])
            both['annotations'].append(each | ids)
        both['categories'] = content['categories']
    Path('both.json').write_text(json.dumps(both))
    config = read()
    config.distill.audit = dict(
        ann_file='both.json', data_prefix=dict(img='data/toy/images')
    )

    worth = report_label_worth(config)

    assert (worth.images, worth.listed, worth.trained_on) == (2, 8, 6)
    assert 'without the 6 that it was' in worth.sentences()[0]


def test_the_report_shows_it_and_when_it_is_of_other_labels(workshop):
    report_label_worth(read())
    arguments = [str(LABELS), '--out', 'report.html', '--num', '0']
    assert call_tool('report', *arguments) == 0
    page = Path('report.html').read_text()
    assert 'What the labels can be worth' in page
    assert 'measured of other labels' not in page
    keypoint_thr = ['--keypoint-thr', '-2']
    options = ['--cfg-options', *DISTILL]
    assert call_tool('select_labels', STUDENT, *keypoint_thr, *options) == 0

    assert call_tool('report', *arguments) == 0

    assert 'measured of other labels' in Path('report.html').read_text()
