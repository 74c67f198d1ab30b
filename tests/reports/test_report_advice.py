"""The advice of sentences about reports, tables and pictures: following it works."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.reports import report as reports
from mmdistill.reports.agreement import compare_agreement
from mmdistill.reports.gallery import draw_labels
from mmdistill.reports.report import ReportOptions, write_report
from mmdistill.reports.results_table import compare
from mmdistill.reports.skeleton import skeleton_of_config
from mmdistill.selection.counts import build_labeled, count_labeled
from mmdistill.selection.selection import read_selection

COCO = dict(type='CocoDataset')


def sentence_of(call, *arguments, **options):
    """The sentence that a call ends in."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def store(tmp_path, monkeypatch, write_images, make_rows, make_store, make_selection):
    """Seven candidates on three of four images, some of them kept."""
    monkeypatch.chdir(tmp_path)
    write_images(Path('images'), '000.png', '001.png', '003.png')
    rows = make_rows([2, 0, None, 5])
    store = make_store(Path('labels'), rows, img_root=Path('images'))
    make_selection(0.5).write(store)
    return store


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    """Metrics of two models."""
    monkeypatch.chdir(tmp_path)
    for name, values in dict(a=dict(AP=0.5, AR=0.75), b=dict(AP=0.25)).items():
        Path(f'{name}.json').write_text(json.dumps(values))


@pytest.mark.parametrize('source', ['', 'a.json', '=a.json', 'a='])
def test_each_form_of_a_row_that_is_named_makes_a_table(metrics, source):
    sentence = sentence_of(compare, [source])
    forms = re.findall(r'name=\S+\.json', sentence)
    assert [form.count('.json') for form in forms] == [1, 2]

    for form in forms:
        assert 'name' in compare([form.replace('metrics', 'a')], ['AP'])


def test_a_table_of_nothing_takes_what_is_named(metrics):
    (form,) = re.findall(r'name=\S+\.json', sentence_of(compare, []))
    assert 'name' in compare([form.replace('metrics', 'a')])


def test_each_metric_that_is_named_is_there(metrics):
    sentence = sentence_of(compare, ['a=a.json'], ['PCK'])
    names = re.search(r'has no PCK, only (.+)', sentence)[1].split(', ')
    assert names == ['AP', 'AR']
    assert all(name in compare(['a=a.json'], [name]) for name in names)


def test_a_metric_that_not_all_files_have(metrics):
    sentence = sentence_of(compare, ['a=a.json', 'b=b.json'])
    (names,) = re.findall(r'only (.+)', sentence)
    assert compare(['a=a.json', 'b=b.json'], names.split(', '))


def test_rows_of_other_names_make_a_table(metrics):
    assert 'the same name' in sentence_of(compare, ['a=a.json', 'a=a.json'])
    assert compare(['a=a.json', 'b=a.json'])


@pytest.mark.parametrize('value', ['high', [1], {}])
def test_a_metric_that_is_a_number_as_it_says(metrics, value):
    Path('a.json').write_text(json.dumps(dict(AP=value)))
    (name,) = re.findall(
        r'(\w+) of .* must be a number', sentence_of(compare, ['a=a.json'])
    )
    Path('a.json').write_text(json.dumps({name: 0.5}))
    assert compare(['a=a.json'])


def test_the_numbers_of_labels_that_are_named_are_enough(store):
    options = ReportOptions(num=-1)
    sentence = sentence_of(write_report, store, Path('a.html'), options)
    (least,) = re.findall(r'at least (\d+)', sentence)
    write_report(store, Path('a.html'), ReportOptions(num=int(least)))

    config = Config(dict(distill=dict(store='labels', labeled=COCO)))
    sentence = sentence_of(draw_labels, config, Path('a.png'), 0)
    (least,) = re.findall(r'at least (\d+)', sentence)
    draw_labels(config, Path('a.png'), int(least))


def test_each_ending_that_is_named_is_a_picture(store):
    config = Config(dict(distill=dict(store='labels', labeled=COCO)))
    sentence = sentence_of(draw_labels, config, Path('a.docx'), 1)
    endings = re.findall(r'\.[a-z]+', sentence.partition(', got')[0])

    assert len(endings) == 3
    for ending in endings:
        draw_labels(config, Path(f'a{ending}'), 1)
        assert Path(f'a{ending}').stat().st_size


def test_store_and_data_set_of_a_picture_are_stated_where_it_says(store):
    config = Config({})
    sentence = sentence_of(draw_labels, config, Path('a.png'), 1)
    (key,) = re.findall(r'no label store in (\S+)', sentence)
    config.merge_from_dict({key: 'labels'})

    sentence = sentence_of(draw_labels, config, Path('a.png'), 1)
    assert sentence == sentence_of(skeleton_of_config, config)
    (key,) = re.findall(r'name one in (\S+)', sentence)
    config.merge_from_dict({key: COCO})

    draw_labels(config, Path('a.png'), 1)


@pytest.mark.parametrize('threshold', [0, -1, 1.5, float('nan')])
def test_a_threshold_within_the_range_that_is_named(store, threshold):
    sentence = sentence_of(compare_agreement, ['labels'], [threshold])
    low, high = map(float, re.search(r'above (\d+), up to (\d+),', sentence).groups())
    assert compare_agreement(['labels'], [low + 0.001, high])


@pytest.mark.parametrize('content', ['{', '[]', '{"per_keypoint": [{"name": 1}]}'])
def test_without_an_audit_that_is_removed_as_it_says(store, content):
    (store.root / 'audit.json').write_text(content)
    sentence = sentence_of(write_report, store, Path('a.html'))
    assert 'remove it' in sentence
    (named,) = re.findall(r'the audit (\S+audit\.json)', sentence)

    Path(named).unlink()

    write_report(store, Path('a.html'), ReportOptions(num=1))


def labeled_config(name, count, coco_names):
    """A config that trains on a labeled set of so many instances."""
    images = [dict(id=1, file_name='000.png', width=64, height=48)]
    instances = [
        dict(
            **dict(id=number, image_id=1, category_id=1, iscrowd=0, area=900),
            **dict(bbox=[5, 5, 30, 30], num_keypoints=17, keypoints=[20, 20, 2] * 17),
        )
        for number in range(count)
    ]
    category = dict(id=1, name='person', keypoints=coco_names)
    content = dict(images=images, annotations=instances, categories=[category])
    Path(f'{name}.json').write_text(json.dumps(content))
    labeled = dict(COCO, ann_file=f'{name}.json', data_prefix=dict(img='images/'))
    section = dict(teacher={}, unlabeled={}, store='labels', labeled=labeled)
    return Config(dict(distill=section, work_dir='work'))


def test_the_config_that_a_selection_was_made_with_is_taken(store, coco_names):
    first, second = (
        labeled_config(name, count, coco_names) for name, count in (('a', 2), ('b', 3))
    )
    counts = count_labeled(build_labeled(first.distill.labeled))
    replace(read_selection(store), labeled=counts).write(store)
    options, page = ReportOptions(num=1), Path('a.html')

    sentence = sentence_of(reports.report, 'labels', page, options, second)
    assert 'give the config it was made with' in sentence
    (instances,) = re.findall(r'another labeled set \((\d+) instances\)', sentence)
    assert int(instances) == counts.instances

    reports.report('labels', page, options, first)
    assert page.is_file()
