import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tests.helpers.recipes import STUDENT

LABELS = Path('work_dirs/toy/labels')
ANNOTATIONS = Path('data/toy/annotations/labeled.json')


def test_the_page_is_written_into_the_store(workshop, tool):
    assert tool('report', str(LABELS), '--num', '1') == 0
    page = (LABELS / 'report.html').read_text()
    kept = read_selection(LabelStore(LABELS)).unlabeled.kept
    assert f'{kept} of ' in page
    assert page.count('data:image/jpeg;base64,') > 1
    assert 'image not found' not in page


def test_with_its_config_the_labeled_set_stands_beside(workshop, tool):
    arguments = ('--config', STUDENT, '--num', '0', '--out', 'new/page.html')
    assert tool('report', str(LABELS), *arguments) == 0
    content = json.loads(ANNOTATIONS.read_text())
    people = [a for a in content['annotations'] if a['num_keypoints']]
    noses = sum(a['keypoints'][2] > 0 for a in people) / len(people)
    bare = len(content['images']) - len(Counter(a['image_id'] for a in people))
    page = Path('new/page.html').read_text()
    row = page.partition('<tr><th scope="row">nose</th>')[2].partition('</tr>')[0]
    assert row.split('<td>')[2] == f'{noses:.1%}</td>'
    assert f'{bare / len(content["images"]):.1%} of the labeled ones' in page


def test_results_are_in_the_page(workshop, tool):
    for name, value in (('baseline', 0.25), ('student', 0.5)):
        Path(f'{name}.json').write_text(json.dumps({'coco/AP': value}))
    results = ('baseline=baseline.json', 'student=student.json')
    assert tool('report', str(LABELS), '--num', '0', '--results', *results) == 0
    assert '0.500 against 0.250 (+0.250)' in (LABELS / 'report.html').read_text()


def test_the_config_of_another_labeled_set_is_refused(workshop, tool, capsys):
    store = LabelStore(LABELS)
    selection = read_selection(store)
    labeled = replace(selection.labeled, fingerprint='another', instances=999)
    replace(selection, labeled=labeled).write(store)
    assert tool('report', str(LABELS), '--config', STUDENT) == 2
    assert 'another labeled set (999 instances)' in capsys.readouterr().err
    assert not (LABELS / 'report.html').exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('nowhere',), 'nowhere holds no label store'),
        ((str(LABELS), '--results', 'student=none.json'), 'none.json cannot be read'),
        ((str(LABELS), '--config', 'none.py'), 'config none.py does not exist'),
        ((str(LABELS), '--num', '-2'), 'at least 0 labels, got -2'),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(workshop, tool, capsys, arguments, words):
    assert tool('report', *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert 'Traceback' not in error
