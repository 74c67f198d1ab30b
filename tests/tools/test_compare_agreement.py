from pathlib import Path

from mmdistill.store import LabelStore

LABELS = Path('work_dirs/toy/labels')


def test_the_share_of_the_toy_s_images_is_reported(workshop, tool, capsys):
    labels = LabelStore(LABELS).read()
    best = {}
    values = labels.candidates.keypoint_agreement.mean(axis=1)
    for image, value in zip(labels.image_index.tolist(), values, strict=True):
        best.setdefault(image, value)
    threshold = sorted(best.values())[len(best) // 2] - 1e-4
    share = sum(value >= threshold for value in best.values()) / labels.num_read

    assert tool('compare_agreement', str(LABELS), '--thresholds', str(threshold)) == 0

    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[:3] == [str(LABELS), str(labels.num_read), f'{share:.1%}']
