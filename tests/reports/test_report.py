import json
import re

import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.reports.report import MAX_REASONS, ReportOptions, write_report
from mmdistill.store import ImageRow


def kept_by_hand(written):
    """For each image that could be read, its kept candidates one by one."""
    kept = []
    for row in written.rows:
        if row.status == 'ok':
            kept.append(
                [
                    candidate
                    for candidate in (
                        row.candidates[i] for i in range(len(row.candidates))
                    )
                    if candidate.instance_scores >= 0.5
                    and max(candidate.keypoint_scores) > np.float32(0.6)
                ]
            )
    return kept


def visible_by_hand(candidate):
    return [k for k in range(17) if candidate.keypoint_scores[k] > np.float32(0.6)]


def agreement_by_hand(candidate):
    values = [
        float(candidate.keypoint_agreement[k]) for k in visible_by_hand(candidate)
    ]
    return sum(values) / len(values)


def test_the_facts_are_those_of_a_slow_loop(written):
    names = [element.text for element in written.root.all('dt')]
    values = [element.text for element in written.root.all('dd')]
    facts = dict(zip(names, values, strict=True))
    assert facts['images'] == '8'
    assert facts['of them failed'] == '2'
    assert facts['candidates'] == '15'
    assert facts['kept as labels'] == str(sum(map(len, kept_by_hand(written))))
    assert facts['threshold: instance score'] == '0.500'


def test_the_source_table_is_that_of_a_slow_loop(written):
    kept = kept_by_hand(written)
    flat = [candidate for of_image in kept for candidate in of_image]
    score = sum(float(c.instance_scores) for c in flat) / len(flat)
    agreement = sum(map(agreement_by_hand, flat)) / len(flat)
    (table,) = written.root.all('table', id='source-table')
    assert table.cells()[1:] == [
        [
            *('all images', '6', '2', str(sum(not labels for labels in kept)), '15'),
            *(str(len(flat)), f'{len(flat) / 6:.3f}', '0.500'),
            *(f'{score:.3f}', f'{agreement:.3f}'),
        ]
    ]


def test_the_keypoint_table_is_that_of_a_slow_loop(written, coco_names):
    flat = [candidate for of_image in kept_by_hand(written) for candidate in of_image]
    expected = []
    for k, name in enumerate(coco_names):
        seen = [c for c in flat if k in visible_by_hand(c)]
        scores = [float(c.keypoint_scores[k]) for c in seen]
        agreement = [float(c.keypoint_agreement[k]) for c in seen]
        expected.append(
            [
                *(name, f'{len(seen) / len(flat):.1%}'),
                *(f'{np.mean(scores):.3f}', f'{np.mean(agreement):.3f}'),
            ]
        )
    (table,) = written.root.all('table', id='keypoint-table')
    assert table.cells()[1:] == expected


def test_the_verdict_names_images_labels_threshold_and_both_means(written):
    (verdict,) = written.root.all('p', id='verdict')
    for words in ('8 images', '7 of 9', '0.500', '1.40 per unl', '1.50 per labeled'):
        assert words in verdict.text


def test_every_figure_has_a_description_and_a_caption(written):
    figures = written.root.all('figure')
    assert len(figures) == 6 + 8
    for figure in figures:
        (caption,) = figure.all('figcaption')
        assert caption.text
        pictures = figure.all('svg', role='img') + figure.all('img')
        (described,) = pictures
        words = described.attributes.get('aria-label') or described.attributes['alt']
        assert len(words) > 20


def test_every_entry_of_the_contents_leads_somewhere(written):
    (contents,) = written.root.all('nav')
    ids = {h2.attributes['id'] for h2 in written.root.all('h2')}
    targets = [a.attributes['href'] for a in contents.all('a')]
    assert {target.removeprefix('#') for target in targets} == ids
    assert len(targets) == len(ids)


def test_no_identifier_stands_twice(written):
    ids = re.findall(r' id="([^"]*)"', written.text)
    assert len(ids) == len(set(ids)) > 10


def test_every_reference_has_its_target(written):
    ids = set(re.findall(r' id="([^"]*)"', written.text))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', written.text))
    assert used
    assert used <= ids


def test_nothing_is_fetched(written):
    assert 'http:' not in written.text
    assert 'https:' not in written.text
    sources = re.findall(r'(?:src|href)="([^#"][^"]{0,20})', written.text)
    assert sources
    assert all(source.startswith('data:') for source in sources)
    assert not re.search(r'@import|url\((?!#)', written.text)
    assert written.root.all('script') == []


def test_what_comes_from_files_is_escaped(written):
    (table,) = written.root.all('table', id='failure-table')
    assert ['<b>broken</b>', '1', '<script>alert("a&b")</script>.png'] in table.cells()
    assert table.all('b') == []


def test_reasons_are_counted(written):
    (table,) = written.root.all('table', id='failure-table')
    assert table.cells()[1:] == [
        ['<b>broken</b>', '1', '<script>alert("a&b")</script>.png'],
        ['no such file', '1', '006.png'],
    ]


def test_rare_reasons_share_a_row(make_rows, make_store, again, tmp_path):
    rows = [
        ImageRow(
            f'{i}.png', 0, 0, 'failed', f'reason {max(i - 2, 0):02d}', row.candidates
        )
        for i, row in enumerate(make_rows([None] * (MAX_REASONS + 7)))
    ]
    root = again(make_store(tmp_path / 'labels', rows))
    cells = root.all('table', id='failure-table')[0].cells()[1:]
    assert cells[0] == ['reason 00', '3', '0.png']
    assert cells[-1][:2] == ['5 other reasons', '5']
    assert sum(int(row[1]) for row in cells) == MAX_REASONS + 7


def test_the_same_store_gives_the_same_bytes(written, tmp_path):
    for name in ('a.html', 'b.html'):
        write_report(written.store, tmp_path / name, ReportOptions(num=2))
    assert (tmp_path / 'a.html').read_text() == (tmp_path / 'b.html').read_text()
    assert (tmp_path / 'a.html').read_text() == written.text


def test_galleries_show_what_was_asked_for(written):
    lists = written.root.all('ul', cls='gallery')
    sides = [[item.attributes['class'] for item in ul.all('li')] for ul in lists]
    assert sides == [
        ['kept', 'kept'],
        ['kept', 'rejected'],
        ['rejected', 'rejected'],
        ['kept', 'kept'],
    ]


def test_empty_galleries_say_so(make_rows, make_store, make_selection, again, tmp_path):
    store = make_store(tmp_path / 'labels', make_rows([0, 0]))
    make_selection(0.5).write(store)
    root = again(store, num=3)
    assert [p.text for p in root.all('p')].count('There are none.') == 4


def test_without_a_selection_it_says_what_to_run(written, make_store, again, tmp_path):
    root = again(make_store(tmp_path / 'labels', written.rows), num=1)
    (verdict,) = root.all('p', id='verdict')
    assert 'run tools/select_labels.py' in verdict.text
    assert 'Borderline labels' not in [h.text for h in root.all('h3')]
    assert len(root.all('ul', cls='gallery')) == 2


def test_a_selection_of_another_state_is_refused(written, tmp_path):
    path = written.store.root / 'selection.json'
    content = path.read_text()
    path.write_text(content.replace('0.5', '0.4'))
    try:
        with pytest.raises(UserError, match='not a selection of mmdistill'):
            write_report(written.store, tmp_path / 'page.html')
    finally:
        path.write_text(content)
    assert not (tmp_path / 'page.html').exists()


def test_images_that_have_moved_are_reported(written, again, tmp_path):
    root = again(written.store, num=1, img_root=tmp_path / 'nowhere')
    captions = [f.text for f in root.all('ul', cls='gallery')[0].all('figcaption')]
    assert captions[0].endswith('(image not found)')
    words = [p.text for p in root.all('p')]
    assert sum('name it by --img-root' in text for text in words) == 4


def test_results_are_compared(written, again, tmp_path):
    sources = []
    for name, values in dict(baseline=(0.25, 0.75), student=(0.75, 0.875)).items():
        files = []
        for seed, value in enumerate(values):
            files.append(str(tmp_path / f'{name}{seed}.json'))
            (tmp_path / f'{name}{seed}.json').write_text(json.dumps({'coco/AP': value}))
        sources.append(f'{name}={",".join(files)}')
    root = again(written.store, results=sources)
    (table,) = root.all('table', id='results-table')
    assert table.cells() == [
        ['model', 'coco/AP'],
        ['baseline', '0.500 ± 0.354'],
        ['student', '0.812 ± 0.088'],
    ]
    verdict = root.all('div', cls='verdict')[0].text
    assert 'ahead of the baseline in coco/AP: 0.812 against 0.500 (+0.312)' in verdict


def test_the_manifest_is_reported_leaf_by_leaf(written):
    cells = dict(written.root.all('table', id='provenance-table')[0].cells())
    assert cells['store'] == written.store.digest()
    assert cells['about.img_root'] == written.store.manifest['about']['img_root']
    assert cells['chunk_size'] == '3'
    assert cells['keypoints'].startswith('nose, left_eye, ')


def test_an_incomplete_store_is_refused(written, make_store, tmp_path):
    store = make_store(tmp_path / 'labels', written.rows)
    (store.root / 'chunks' / '000001.parquet').unlink()
    with pytest.raises(UserError, match=r'not complete: 1 of 3 chunks'):
        write_report(store, tmp_path / 'page.html')


def test_galleries_of_less_than_no_label_are_refused(written, tmp_path):
    with pytest.raises(UserError, match='at least 0 labels, got -1'):
        write_report(written.store, tmp_path / 'page.html', ReportOptions(num=-1))


def test_the_threshold_of_the_selection_decides(written, make_store, again, tmp_path):
    store = make_store(tmp_path / 'labels', written.rows)
    written.selection.overridden(0.75, None).write(store)
    cells = again(store).all('table', id='source-table')[0].cells()[1]
    scores = np.concatenate([r.candidates.instance_scores for r in written.rows])
    assert cells[5] == str((scores >= 0.75).sum())
    assert cells[7] == '0.750'
