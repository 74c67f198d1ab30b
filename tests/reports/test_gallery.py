import numpy as np

from mmdistill.reports.gallery import draw_gallery
from mmdistill.reports.skeleton import Skeleton

IMAGE = np.zeros((48, 64, 3), dtype=np.uint8)
BARE = Skeleton(np.zeros((0, 2), dtype=int), np.zeros((0, 3)), np.zeros((17, 3)))


def titles_and_scores(figure):
    """Title of each block with the scores printed below its crops."""
    panels = figure.subfigs[0].subfigs
    return {
        panel.get_suptitle().split(':')[0]: [
            axes.get_xlabel() for axes in panel.axes if axes.get_visible()
        ]
        for panel in panels
    }


def test_each_block_prints_the_scores_of_its_side(make_candidates, make_selection):
    scores = [0.125, 0.875, 0.25, 0.75, 0.5]
    candidates = make_candidates(5, scores=scores)
    figure = draw_gallery(candidates, lambda _: IMAGE, make_selection(0.5), BARE, 8)
    assert titles_and_scores(figure) == {
        'Kept': ['0.875', '0.750', '0.500'],
        'Rejected': ['0.250', '0.125'],
    }


def test_a_block_without_candidates_stays_empty(make_candidates, make_selection):
    candidates = make_candidates(2, scores=[0.5, 0.75])
    figure = draw_gallery(candidates, lambda _: IMAGE, make_selection(0.5), BARE, 2)
    assert titles_and_scores(figure)['Rejected'] == []
    titles = [panel.get_suptitle() for panel in figure.subfigs[0].subfigs]
    assert titles == ['Kept: from the best to the last', 'Rejected: none']


def test_images_are_asked_for_the_shown_candidates_only(
    make_candidates, make_selection
):
    candidates = make_candidates(100, scores=np.linspace(0, 1, 100))
    asked = []

    def image_of(number):
        asked.append(int(number))
        return IMAGE

    draw_gallery(candidates, image_of, make_selection(0.5), BARE, 2)
    assert asked == [99, 50, 49, 0]
