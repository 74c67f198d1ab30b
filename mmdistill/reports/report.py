"""From a label store to one self-contained HTML file.

The page: a template, and how numbers read in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.audits.result import Audit, read_audit
from mmdistill.config.recipe import Recipe
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.errors import ConfigError, StoreError
from mmdistill.reports import captions, figures
from mmdistill.reports.crops import StoreImages
from mmdistill.reports.results_table import mean_and_deviation, read_results
from mmdistill.reports.skeleton import Skeleton, skeleton_of_config, skeleton_of_names
from mmdistill.reports.statistics import (
    KEYPOINT_THR,
    ReportData,
    categories_of,
    collect,
    thresholds_of,
    visible_by,
)
from mmdistill.reports.thumbnails import ThumbnailRenderer, galleries
from mmdistill.selection import Selection
from mmdistill.selection.counts import (
    LabeledCounts,
    LabeledStatistics,
    build_labeled,
    count_labeled,
    labeled_statistics,
)
from mmdistill.selection.selection import SELECTION_FILE, read_selection
from mmdistill.selection.threshold_groups import format_range
from mmdistill.stages.label_config import labeled_config
from mmdistill.store import LabelStore
from mmdistill.utils.files import write_whole

MOST_REASONS = 20
"""Reasons that have a row; a store may have one for every failed image."""


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows beside the store.

    Attributes:
        num: Labels in each gallery.
        img_root: Folder of the images; what the store says when None.
        results: Metrics of trained models, each as `name=a.json,b.json`.
        labeled: The labeled set, if it is known.
        skeleton: Links and colors of the keypoints; found by their names when None.
    """

    num: int = 12
    img_root: Path | None = None
    results: Sequence[str] = ()
    labeled: LabeledStatistics | None = None
    skeleton: Skeleton | None = None


def report(
    labels: str, path: Path, options: ReportOptions, config: Config | None = None
) -> None:
    """Write the report of a store by its folder, beside the labeled set of its config.

    Args:
        labels: Folder of a complete store.
        path: The page to write, whole or not at all.
        options: What it shows beside the store.
        config: The store's config; from it come the numbers of the labeled set and the
            skeleton, that of its test set or of another of its sets.

    Raises:
        StoreError: If there is no such store, it is not complete, or its selection
            was matched to another labeled set than the config's.
        UserError: If the labeled set is not usable, or `write_report` refuses.
    """
    store = LabelStore(labels)
    store.manifest  # noqa: B018  (a sentence when there is no store)
    if config is not None:
        config = with_read_annotations(config, images=False)[0]
        dataset = build_labeled(labeled_config(Recipe.of(config)))
        counts = count_labeled(dataset)
        if (store.root / SELECTION_FILE).is_file():
            _check_matched(store, read_selection(store), counts)
        options = replace(
            options,
            labeled=labeled_statistics(dataset, counts.images),
            skeleton=skeleton_of_config(config),
        )
    write_report(store, path, options)
    print_log(f'wrote {path}', logger='current')


def _check_matched(
    store: LabelStore, selection: Selection, counts: LabeledCounts
) -> None:
    """Make sure that a selection belongs to the labeled set shown beside it."""
    if selection.labeled.fingerprint != counts.fingerprint:
        raise StoreError(
            f'the selection of {store.root} was matched to another labeled set '
            f'({selection.labeled.instances} instances) than that of the config '
            f'({counts.instances}); give the config it was made with'
        )


def write_report(
    store: LabelStore, path: Path, options: ReportOptions | None = None
) -> None:
    """Write the report of a complete store.

    Args:
        store: The store.
        path: The page to write, whole or not at all.
        options: What it shows beside the store.

    Raises:
        UserError: If the store is not complete, its selection or audit not ours, a
            file of results not usable, or the disk refuses the page.
    """
    options = options or ReportOptions()
    if options.num < 0:
        raise ConfigError(f'a gallery holds at least 0 labels, got {options.num}')
    content = report_content(store, options)
    text = render_page(content)
    write_whole(path, lambda part: _write_text(part, text))


def report_content(store: LabelStore, options: ReportOptions) -> dict[str, Any]:
    """What the names in the template stand for.

    Args:
        store: A complete store.
        options: What the report shows beside it.
    """
    manifest = store.manifest
    audit = read_audit(store.root)
    selected = (store.root / SELECTION_FILE).is_file()
    selection = read_selection(store) if selected else None
    results = read_results(options.results) if options.results else None
    data = collect(store, selection)
    img_root = options.img_root or Path(manifest['about']['img_root'])
    painter = ThumbnailRenderer(
        store,
        StoreImages(store.root, img_root),
        options.skeleton or skeleton_of_names(manifest['keypoints']),
        visible_by(selection),
    )
    return dict(
        store=str(store.root),
        digest=store.digest(),
        manifest=manifest,
        selection=selection,
        summary=captions.store_summary(data, selection),
        data=data,
        compared=selection.options.compared if selection else '',
        thresholds=format_range(selection.score_thrs, 3) if selection else '',
        keypoint_thrs=format_range(
            selection.keypoint_thrs if selection else [KEYPOINT_THR], 3
        ),
        threshold_plots=figures.threshold_plots(data, selection),
        count_plots=figures.count_plots(data, options.labeled, manifest['keypoints']),
        keypoint_rows=_keypoint_rows(data, manifest['keypoints'], options.labeled),
        labeled=options.labeled,
        agreement_plot=figures.agreement_plot(data, selection),
        source_rows=_source_rows(data, selection),
        category_rows=categories_of(selection) if selection else [],
        galleries=galleries(data, selection is not None, painter, options.num),
        img_root=str(img_root),
        failure_rows=_failure_rows(data),
        **_audit_variables(audit, selection),
        results=results,
        results_lead=captions.student_lead(results) if results else '',
        results_plot=figures.results_plot(results) if results else None,
        mean_and_deviation=mean_and_deviation,
    )


def _audit_variables(
    audit: Audit | None, selection: Selection | None
) -> dict[str, Any]:
    """Variables of the template's section on the audit; unknown gains are left out."""
    if audit is None:
        return dict(audit=None)
    matched, errors = audit.matched, audit.gains_error or {}
    return dict(
        audit=audit,
        audited_lines=captions.audited_lines(audit.audited) if audit.audited else [],
        audit_is_stale=_is_stale(audit, selection),
        nothing_matched=captions.NOTHING_MATCHED,
        audit_thresholds=format_range(matched.score_thrs, 3) if matched else '',
        part_name=captions.part_name,
        audit_plots=figures.audit_plots(audit),
        gains_plot=figures.gains_plot(audit),
        gains_error={
            view: error for view, error in errors.items() if not math.isnan(error)
        },
    )


def _is_stale(audit: Audit, selection: Selection | None) -> bool:
    """Whether an audit is of another selection."""
    if audit.matched is None or selection is None:
        return False
    audited = (audit.matched.by, list(audit.matched.score_thrs))
    return audited != (selection.options.compared, selection.score_thrs)


def _keypoint_rows(
    data: ReportData, names: Sequence[str], labeled: LabeledStatistics | None
) -> list[dict[str, Any]]:
    numbers, counts = data.keypoints, np.maximum(data.keypoints.visible, 1)
    missing = np.where(numbers.visible, 0, np.nan)
    columns = dict(
        name=list(names),
        visible=figures.label_shares(data).tolist(),
        score=(numbers.score_sum / counts + missing).tolist(),
        agreement=(numbers.agreement_sum / counts + missing).tolist(),
    )
    if labeled is not None:
        columns['labeled'] = labeled.visible.mean(axis=0).tolist()
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _source_rows(data: ReportData, selection: Selection | None) -> list[dict[str, Any]]:
    return [
        dict(
            name=name,
            counts=counts,
            threshold='' if selection is None else thresholds_of(selection, name),
        )
        for name, counts in sorted(data.sources.counts.items())
    ]


def _failure_rows(data: ReportData) -> list[dict[str, Any]]:
    """Reasons by how frequent they are; the rare ones share the last row."""
    ranked = sorted(data.failures.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        dict(reason=reason, count=count, example=data.failed_example[reason])
        for reason, count in ranked[:MOST_REASONS]
    ]
    rest = Counter(dict(ranked[MOST_REASONS:]))
    if rest:
        reason, example = f'{len(rest):,} other reasons', next(iter(rest))
        rows.append(dict(reason=reason, count=rest.total(), example=example))
    return rows


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding='utf-8')


TEMPLATE = 'report.html.jinja'


def render_page(content: Mapping[str, Any]) -> str:
    """Fill the template; everything that is not markup is escaped.

    Args:
        content: What its names stand for.
    """
    environment = Environment(
        loader=PackageLoader('mmdistill.reports'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number='{:,}'.format, decimals=decimals, percent='{:.1%}'.format
    )
    return environment.get_template(TEMPLATE).render(content)


def decimals(value: float, places: int = 3) -> str:
    """A number with as many decimals; a dash where there is none."""
    return '–' if math.isnan(value) else f'{value:,.{places}f}'
