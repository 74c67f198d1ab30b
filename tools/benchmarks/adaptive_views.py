"""Compare adaptive views with all views and with fewer fixed ones.

    python tools/benchmarks/adaptive_views.py configs/distill/lspe/student.py CHECKPOINT

The checkpoint is evaluated on the recipe's test set with the views of `distill.views`:
all of them, the first of them only (in the order in which adaptive views are shown),
and adaptive ones at several agreements. For each: the share of all crops that the
network saw, PCK at three radii, AP. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mmdistill import stages
from mmdistill.cli.environment import check_environment
from mmdistill.cli.main import run
from mmdistill.functional.adaptive_views import AdaptiveRule
from mmdistill.functional.view_plan import make_views
from mmdistill.stages.label_config import tta_config

RADII = (0.2, 0.1, 0.05)
"""Radii of PCK, shares of the longer side of the box."""
AGREEMENTS = (0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)
CLOSE = 0.002
"""Loss of PCK@0.2 and AP up to which labels are as good."""
MEASURES = (*(f'PCK@{radius:g}' for radius in RADII), 'AP')


@METRICS.register_module()
class ShownViews(BaseMetric):
    """Mean number of views that an instance was shown in."""

    default_prefix = 'views'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the views of a batch."""
        for sample in data_samples:
            self.results.append(np.asarray(sample['pred_instances']['num_views']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the mean."""
        return dict(mean=float(np.concatenate(results).mean()))


@dataclass(frozen=True)
class Setting:
    """Views to compare.

    Attributes:
        name: What they are called.
        views: What `distill.views` is then.
        fixed: Number of the first views that alone are shown, if not all.
    """

    name: str
    views: dict[str, Any]
    fixed: int | None = None


def settings_of(views: dict[str, Any], groups: Sequence[int]) -> list[Setting]:
    """List the settings to compare.

    Args:
        views: The recipe's `distill.views`.
        groups: Number of views in each group but the last.
    """
    base = {k: v for k, v in views.items() if not k.startswith('adaptive')}
    step = 2 if base.get('flip', True) else 1
    count = len(_all_views(base))
    fixed = [Setting(f'first {n} views', base, n) for n in range(step, count, step)]
    adaptive = [
        Setting(
            f'agreement {value:g}',
            dict(base, adaptive=value, adaptive_groups=tuple(groups)),
        )
        for value in AGREEMENTS
    ]
    return [Setting(f'all {count} views', base), *fixed, *adaptive]


def evaluate(config: Config, setting: Setting) -> dict[str, float]:
    """Evaluate the checkpoint with some views.

    Args:
        config: The recipe's config, with `load_from`.
        setting: The views.

    Returns:
        The measures by name, and `views`, the mean number of views of an instance.
    """
    config = copy.deepcopy(config)
    config.distill.views = setting.views
    if setting.fixed is not None:
        config.distill.views = _first(setting.views, setting.fixed)
    pck = [
        dict(type='PCKAccuracy', thr=radius, norm_item='bbox', prefix=f'{radius:g}')
        for radius in RADII
    ]
    own = [each for each in _listed(config.test_evaluator) if each.type == 'CocoMetric']
    config.test_evaluator = [*own, *pck, dict(type='ShownViews')]
    metrics = stages.test(tta_config(config))
    result = {f'PCK@{radius:g}': metrics[f'{radius:g}/PCK'] for radius in RADII}
    return dict(result, AP=metrics['coco/AP'], views=metrics['views/mean'])


def _first(views: dict[str, Any], count: int) -> dict[str, Any]:
    """Settings of the first views in the order in which adaptive ones are shown."""
    group = AdaptiveRule(1.0, (count,)).split(_all_views(views))[0]
    plain = [view for view in group if not view.flip]
    parts = dict(
        scales=[v.scale for v in plain if v.aspect_ratio == 1 and not v.rotation],
        aspect_ratios=[v.aspect_ratio for v in plain if v.aspect_ratio != 1],
        rotations=[v.rotation for v in plain if v.rotation],
    )
    return dict(views, **parts)


def _all_views(views: dict[str, Any]) -> Any:
    return make_views(
        views.get('scales', (1.0,)),
        views.get('flip', True),
        views.get('aspect_ratios', ()),
        views.get('rotations', ()),
        views.get('resolutions', (1.0,)),
    )


def _listed(evaluator: Any) -> list[Any]:
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def draw(results: dict[str, dict[str, float]], path: Path) -> None:
    """Draw each measure over the share of the work.

    Args:
        results: Measures by setting, with their `share` of the work.
        path: The PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout='constrained')
    kinds = {'fixed views': 'first', 'adaptive views': 'agreement'}
    for axes, measure in zip(figure.subplots(2, 2).flat, MEASURES, strict=True):
        for label, start in kinds.items():
            rows = [
                (row['share'], row[measure], name)
                for name, row in results.items()
                if name.startswith((start, 'all' if label == 'fixed views' else start))
            ]
            x, y, names = zip(*sorted(rows), strict=True)
            axes.plot(x, y, 'o-', label=label)
            if label == 'adaptive views':
                for at, value, name in zip(x, y, names, strict=True):
                    axes.annotate(name.split()[1], (at, value), fontsize=7)
        axes.axhline(
            next(r[measure] for n, r in results.items() if n.startswith('all')),
            color='gray',
            linewidth=0.7,
        )
        axes.set(title=measure, xlabel='share of all crops')
    figure.axes[0].legend()
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, evaluate every setting and print the table."""
    check_environment()
    from mmdistill.cli.arguments import add_config_arguments, load_config

    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--groups', type=int, nargs='*', default=[2, 4])
    parser.add_argument('--plot', type=Path, metavar='PNG')
    arguments = parser.parse_args(argv)
    config = load_config(arguments)
    config.load_from = arguments.checkpoint
    results: dict[str, dict[str, float]] = {}
    for setting in settings_of(config.distill.views.to_dict(), arguments.groups):
        row = evaluate(config, setting)
        whole = next(iter(results.values()), row)
        results[setting.name] = dict(row, share=row['views'] / whole['views'])
    lines = [f'{"views":18}{"share":>8}' + ''.join(f'{m:>10}' for m in MEASURES)]
    for name, row in results.items():
        figures = ''.join(f'{row[measure]:10.4f}' for measure in MEASURES)
        lines.append(f'{name:18}{row["share"]:8.3f}{figures}')
    sys.stdout.write('\n'.join(lines) + '\n')
    if arguments.plot:
        draw(results, arguments.plot)
    sys.stdout.write(json.dumps(summary(results)) + '\n')


def summary(results: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Summarize the cheapest adaptive setting that is as good as all views.

    Args:
        results: Measures by setting, all views first.
    """
    whole = next(iter(results.values()))
    adaptive = {n: row for n, row in results.items() if n.startswith('agreement')}
    good = {
        name: row
        for name, row in adaptive.items()
        if row['PCK@0.2'] >= whole['PCK@0.2'] - CLOSE
        and row['AP'] >= whole['AP'] - CLOSE
    }
    name = min(good or adaptive, key=lambda each: adaptive[each]['share'])
    return dict(
        setting=name,
        forwards_share=adaptive[name]['share'],
        quality_all={m: whole[m] for m in MEASURES},
        quality_adaptive={m: adaptive[name][m] for m in MEASURES},
        as_good=bool(good),
    )


if __name__ == '__main__':
    sys.exit(run(main))
