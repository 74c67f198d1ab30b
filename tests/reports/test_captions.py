from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.result import Audit, AuditedImages
from mmdistill.functional.ranking import rank_correlation
from mmdistill.reports import captions
from mmdistill.reports.statistics import collect
from mmdistill.selection.counts import LabeledStatistics
from tests.helpers.audit_example import EXAMPLE


@pytest.fixture
def selection(make_selection):
    return make_selection(0.5, 0.6)


@pytest.fixture
def data(make_rows, make_store, selection, tmp_path):
    rows = make_rows([2, 0, None, 5, 1, 3, 4])
    return collect(make_store(tmp_path / 'labels', rows), selection)


def side(per_image, visible):
    return LabeledStatistics(np.array(per_image), np.array(visible, dtype=bool))


def test_labels_that_depend_on_the_threshold_are_counted(data, selection):
    changed = replace(data, lost=3, won=1)
    assert f'would lose 3 of {data.num_kept} labels, one 0.02 lower would gain 1.' in (
        captions.scores_caption(changed, selection)
    )


@pytest.mark.parametrize(
    ('kept', 'words'), [(5, 'more rarely'), (7, 'as often'), (20, 'more often')]
)
def test_the_curve_s_caption_says_which_mean_is_larger(selection, kept, words):
    labeled = replace(selection.labeled, instances=7, images=5)
    counts = replace(selection.unlabeled, kept=kept, images=5)
    changed = replace(selection, labeled=labeled, unlabeled=counts)
    assert words in captions.curve_caption(changed)


def test_where_nothing_is_left_to_keep_it_says_so(selection):
    counts = replace(selection.unlabeled, kept=9, images=9)
    changed = replace(selection, unlabeled=counts, curve_means=(1.0, 0.5))
    assert captions.curve_caption(changed).endswith('is kept already.')
    more = replace(changed, curve_means=(1.25, 0.5))
    assert captions.curve_caption(more).endswith('on unlabeled images.')


def test_images_without_labels_are_reported_for_both_sets(data):
    bare = int((data.labels_per_image == 0).sum())
    words = captions.per_image_caption(data, side([0, 1, 1, 2], [[1]]))
    assert words.startswith(f'{bare / 6:.1%} of the unlabeled images')
    assert words.endswith('25.0% of the labeled ones.')


def test_keypoints_per_instance_are_reported_for_both_sets(data):
    words = captions.per_label_caption(data, side([1], [[1, 1, 0], [1, 0, 0]]))
    assert f'carries {data.visible[data.kept].mean():.1f} visible' in words
    assert 'labeled instance 1.5' in words


def test_the_rarest_type_is_named_with_its_lack():
    shares = np.array([0.75, 0.25, 0.5])
    labeled = side([1, 1], [[1, 0, 1], [1, 0, 1]])
    words = captions.per_type_caption(['top', 'mid_low', 'foot'], shares, labeled)
    assert 'on most labels: top (75%); on fewest: mid low (25%)' in words
    assert 'foot is lacking most, by 50 percentage points' in words


def test_where_labels_lack_nothing_it_says_so():
    words = captions.per_type_caption(['top'], np.ones(1), side([1], [[1]]))
    assert 'No type is rarer' in words


@pytest.mark.parametrize('values', [[], [0.5], [0.5, 0.5]])
def test_what_does_not_vary_has_no_correlation(values):
    correlation = rank_correlation(np.array(values), np.arange(len(values)))
    assert 'nothing to compare' in captions.agreement_caption(correlation)


@pytest.mark.parametrize(
    ('correlation', 'words'),
    [(0.9, 'adds little'), (0.5, 'adds information'), (-0.5, 'independent')],
)
def test_the_correlation_is_put_in_words(correlation, words):
    assert words in captions.agreement_caption(correlation)


@pytest.mark.parametrize(('blind', 'words'), [(0, 'exact value.'), (4, 'visible.')])
def test_candidates_without_keypoints_are_reported(data, selection, blind, words):
    visible = np.where(np.arange(len(data.scores)) < blind, 0, 1)
    caption = captions.scores_caption(replace(data, visible=visible), selection)
    assert caption.endswith(words)
    assert (' 4 are rejected' in caption) == (blind == 4)


def test_without_a_selection_the_scores_are_counted(data):
    assert captions.scores_caption(data, None).startswith('15 candidates')


@pytest.mark.parametrize(('score_thr', 'words'), [(None, 'matched'), (0.5, 'by hand')])
def test_the_summary_gives_threshold_counts_and_both_means(
    make_selection, score_thr, words
):
    selection = make_selection(0.5)
    options = replace(selection.options, score_thr=score_thr)
    line = captions.selection_summary(replace(selection, options=options))
    assert '7 of 9 candidates' in line
    assert '0.500' in line
    assert words in line
    assert '1.40 per unlabeled' in line
    assert '1.50 per labeled' in line


AUDITED = AuditedImages(
    **dict(ann_file='val.json', sha256=None, boxes='true boxes', images=9, failed=1),
    **dict(instances=12, candidates=15),
)


def test_the_audited_images_are_described():
    images, boxes = captions.audited_lines(AUDITED)
    assert 'val.json, 12 instances on 9 images that could be read (1 not)' in images
    assert boxes == 'boxes: true boxes; 15 candidates'


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (dict(folds=3, teacher_config='t.py'), 'on the others with t.py'),
        (dict(images_trained_on=2), '2 of the images are among those'),
    ],
)
def test_what_limits_an_audit_is_a_line_of_its_own(changes, words):
    *_, last = captions.audited_lines(replace(AUDITED, **changes))
    assert words in last


@pytest.mark.parametrize(
    ('source', 'category_id', 'name'),
    [
        (None, None, ''),
        ('a', None, 'a'),
        ('', 2, 'images without a source, category 2'),
    ],
)
def test_a_threshold_is_named_by_its_source_and_category(source, category_id, name):
    (part,) = Audit.from_json(EXAMPLE).matched.parts
    named = replace(part, source=source, category_id=category_id)
    assert captions.part_name(named) == name


def test_a_store_without_a_selection_says_how_to_make_one(data):
    summary = captions.store_summary(data, None)
    assert summary.startswith('7 images, 15 candidates. Nothing is selected yet')
    assert 'tools/select_labels.py' in summary


def test_a_known_correlation_is_a_sentence_beside_that_of_the_product():
    known = dict(score=-0.5, agreement=float('nan'), product=-0.625)
    assert captions.correlation_caption('score', known) == (
        ' Rank correlation with the error -0.50, of the product of both ranks -0.62; '
        '-1 is perfect.'
    )
    assert captions.correlation_caption('agreement', known) == ''
    assert captions.correlation_caption('score', {}) == ''
