"""Two manifests, leaf by leaf."""

from __future__ import annotations

from mmdistill.labels.manifest import differences

STORED = {'teacher': {'weights': 'aa', 'code': 'c'}, 'views': ['0.5', '1'], 'size': 3}


def test_equal_manifests_do_not_differ():
    assert differences(STORED, dict(STORED)) == []


def test_each_leaf_that_differs_is_a_line():
    wanted = {'teacher': {'weights': 'bb', 'code': 'c'}, 'views': ['1'], 'size': 3}
    assert differences(STORED, wanted) == [
        'teacher.weights: the store has aa, this run bb',
        "views: the store has ['0.5', '1'], this run ['1']",
    ]


def test_a_leaf_that_one_side_lacks_is_a_line():
    wanted = {'teacher': {'weights': 'aa'}, 'views': ['0.5', '1'], 'size': 3, 'new': 1}
    assert differences(STORED, wanted) == [
        'new: the store has None, this run 1',
        'teacher.code: the store has c, this run None',
    ]
