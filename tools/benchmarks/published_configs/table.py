"""Markdown table of the results of the published configs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

WORKS = 'works'
OPEN = 'not run yet'
BEGIN, END = '<!-- published configs -->', '<!-- end of published configs -->'
COMMAND = 'python -m tools.benchmarks.published_configs --write configs/README.md'
TITLE = '# Recipes and the published configs\n\n'


def outcome(row: dict[str, Any]) -> str:
    """Describe the result of a config: `works`, or the sentence it ends with.

    Args:
        row: A result.
    """
    ends = {stage: text for stage, text in row['stages'].items() if text != WORKS}
    # A refusal is that of the first tool; what the next ones say follows from it.
    for stage, text in ends.items():
        kind, _, sentence = text.partition(': ')
        sentence = _without_paths(sentence)
        return f'{kind} by {stage}: {sentence}'
    return WORKS


def render(rows: Iterable[dict[str, Any]], names: Sequence[str], revision: str) -> str:
    """Format the section of a README, with a line for each group of configs.

    Args:
        rows: Results.
        names: All configs; those without a result are open.
        revision: The commit that the table was written at.
    """
    results = {row['config']: row for row in rows}
    counts: Counter[str] = Counter()
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(names):
        row = results.get(name)
        ends = outcome(row) if row else OPEN
        counts[ends.partition(' by ')[0]] += 1
        path = PurePosixPath(name)
        group = (str(path.parent), *_described(row), ends)
        groups.setdefault(group, []).append(path.stem)
    lines = [
        *(BEGIN, '## Every published config of MMPose', ''),
        _summary(counts, len(names)),
        *('', '```shell', COMMAND, '```', ''),
        f'Written at commit {revision}{_runs(results.values())}, with MMPose 1.3.2. '
        'Each config is the base of a recipe of ten lines, with a teacher of random '
        "weights and generated data of its data set's own form: `plan`, `label`, "
        '`select_labels`, then two training steps, on a CPU. Weights that would be '
        'downloaded are switched off, as `plan` advises without a network.',
        '',
        'A run that was stopped goes on with the same command: results are kept in '
        '`work_dirs/published_configs.jsonl`, a line each with its commit, and only '
        'what has none is run. Take lines out to run these anew.',
        *('', '| configs | data set | head (codec) | result |', '|---|---|---|---|'),
    ]
    for (folder, dataset, head, ends), stems in groups.items():
        listed = ', '.join(f'`{stem}`' for stem in stems)
        lines.append(f'| {folder}: {listed} | {dataset} | {head} | {ends} |')
    return '\n'.join([*lines, '', END])


def put_into(path: Path, section: str) -> None:
    """Write the section to a file, replacing the previous one.

    Args:
        path: The file; it is made where there is none.
        section: What `render` gave.
    """
    text = path.read_text() if path.is_file() else TITLE
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if begin else '\n'
    path.write_text(f'{before}{section}{after}')


def _summary(counts: Counter[str], total: int) -> str:
    parts = [
        f'{counts.pop(WORKS, 0)} work',
        f'{counts.pop("refused", 0)} are refused with the sentence given',
    ]
    if counts.get('defect'):
        parts.append(f'{counts["defect"]} end with an error that is no sentence')
    if counts.get(OPEN):
        parts.append(f'{counts[OPEN]} are open')
    return f'Of {total} 2-D configs {", ".join(parts)}.'


def _runs(rows: Iterable[dict[str, Any]]) -> str:
    """Name the commits that configs were run at, where there are several."""
    counts = Counter(row['revision'] for row in rows if row.get('revision'))
    if len(counts) < 2:
        return ''
    parts = [f'{count} at {revision}' for revision, count in counts.most_common()]
    return f' from runs of {", ".join(parts)}'


def _described(row: dict[str, Any] | None) -> tuple[str, str]:
    if row is None or not row.get('estimator'):
        return '', ''
    head = row.get('head') or row['estimator']
    return row['dataset'], f'{head} ({row["codec"]})' if row.get('codec') else head


def _without_paths(sentence: str) -> str:
    """Remove folders of this machine from a sentence, and escape it for a table."""
    sentence = re.sub(r'/\S*/(site-packages|mmdistill)/', '', sentence)
    sentence = re.sub(
        r'/\S*/hub/checkpoints', '~/.cache/torch/hub/checkpoints', sentence
    )
    return sentence.replace('|', r'\|')
