"""A detector that is not wholly loaded, or lacks a category, is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mmdistill.engine.hooks.checkpoint_guard_hooks import DetectorGuardHook
from mmdistill.errors import UserError
from tests.helpers.checkpoint_models import Wrapper


@pytest.fixture
def check():
    """Run the hook with a checkpoint; returns what the detector was told."""

    def check(meta=None, **options):
        runner = SimpleNamespace(model=Wrapper())
        hook = DetectorGuardHook(**options)
        weights = Wrapper().module.state_dict()
        hook.after_load_checkpoint(runner, dict(meta=meta or {}, state_dict=weights))
        hook.before_test(runner)
        return runner.model.told

    return check


@pytest.mark.parametrize(
    'meta',
    [
        dict(dataset_meta=dict(classes=('cat', 'dog'))),
        dict(dataset_meta=dict(CLASSES=('cat', 'dog'))),
        dict(CLASSES=('cat', 'dog')),
    ],
)
def test_classes_that_the_checkpoint_records_come_first(check, meta):
    classes, ids = check(meta, classes=('a', 'b'), categories=('dog',))

    assert (classes, ids) == (['cat', 'dog'], dict(dog=2))


def test_classes_of_the_config_where_it_records_none(check):
    assert check(classes=('a', 'b')) == (['a', 'b'], dict(a=1, b=2))


def test_ids_are_those_of_the_labeled_set(check, tmp_path):
    path = tmp_path / 'train.json'
    categories = [dict(id=5, name='b'), dict(id=6, name='c')]
    path.write_text(json.dumps(dict(categories=categories)))

    _, ids = check(classes=('a', 'b'), categories=('b',), labeled_file=str(path))

    assert ids == dict(b=5)


def test_ids_of_a_set_made_of_several_are_those_of_the_first_that_names_one(
    check, tmp_path
):
    contents = (
        [dict(id=5, name='b')],
        None,
        [dict(id=7, name='b'), dict(id=3, name='a')],
    )
    files = []
    for number, categories in enumerate(contents):
        files.append(str(tmp_path / f'{number}.json'))
        # MPII's annotations are a list, without categories.
        content = [] if categories is None else dict(categories=categories)
        (tmp_path / f'{number}.json').write_text(json.dumps(content))

    assert check(classes=('a', 'b'), labeled_file=files)[1] == dict(a=3, b=5)


def test_a_set_without_ids_numbers_its_own_classes(check):
    options = dict(labeled_classes=('b', 'a'), labeled_file='list.txt')

    assert check(classes=('a', 'b'), **options)[1] == dict(b=1, a=2)


def test_ids_that_are_stated_need_no_labeled_set(check):
    options = dict(categories=dict(b=9), labeled_file='missing.json')

    assert check(classes=('a', 'b'), **options)[1] == dict(b=9)


def test_names_that_are_not_as_many_as_outputs_are_refused(check):
    with pytest.raises(UserError, match=r'the detector has 2 classes, .* 3 names'):
        check(classes=('a', 'b', 'c'))


def test_a_missing_category_is_refused(check):
    with pytest.raises(UserError, match="no class 'mouse'"):
        check(classes=('a', 'b'), categories=('mouse',))


def test_a_detector_without_weights_is_refused():
    with pytest.raises(UserError, match='a detector needs its trained weights'):
        DetectorGuardHook().before_test(SimpleNamespace(model=Wrapper()))


def test_weights_that_do_not_fit_are_refused():
    runner = SimpleNamespace(model=Wrapper())

    with pytest.raises(UserError, match='the detector checkpoint misses 2 of the keys'):
        DetectorGuardHook().after_load_checkpoint(runner, dict(state_dict={}))
