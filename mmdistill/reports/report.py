"""Report of a label store: one self-contained HTML page, filled from a template."""

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

from mmdistill.audits.label_worth import LabelWorth, read_label_worth
from mmdistill.audits.result import Audit, read_audit
from mmdistill.audits.worth_run import label_digest
from mmdistill.config.detectors import is_detector
from mmdistill.config.recipe import Recipe
from mmdistill.datasets.annotation_configs import with_read_annotations
from mmdistill.errors import ConfigError, StoreError
from mmdistill.reports import captions, figures, rounds
from mmdistill.reports.crops import StoreImages
from mmdistill.reports.results_table import mean_and_deviation, read_results
from mmdistill.reports.skeleton import Skeleton, skeleton_of_config, skeleton_of_names
from mmdistill.reports.statistics import (
    KEYPOINT_THR,
    ReportData,
    category_rows,
    collect,
    format_thresholds,
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
from mmdistill.stages.round_results import RoundResult
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS
from mmdistill.utils.files import write_bytes

MAX_REASONS = 20
"""Maximum number of rows of reasons; every failed image may have another one."""
TEMPLATE = 'report.html.jinja'


@dataclass(frozen=True)
class ReportOptions:
    """Content of a report besides the store.

    Attributes:
        num: Number of labels in each gallery.
        img_root: Folder of the images; that of the store's manifest when None.
        results: Metrics of trained models, each as `name=a.json,b.json`.
        labeled: Statistics of the labeled set, if it is known.
        skeleton: Links and colors of the keypoints; those of the data set with the same
            keypoint names when None.
        rounds: The rounds that the store is part of; read from the folder of its round
            when None.
    """

    num: int = 12
    img_root: Path | None = None
    results: Sequence[str] = ()
    labeled: LabeledStatistics | None = None
    skeleton: Skeleton | None = None
    rounds: Sequence[RoundResult] | None = None


def report(
    labels: str, path: Path, options: ReportOptions, config: Config | None = None
) -> None:
    """Write the report of a store, compared with the labeled set of its config.

    Args:
        labels: Folder of a complete store.
        path: The page, written whole or not at all.
        options: Content of the report besides the store.
        config: Config of the store; its labeled set is counted, and the skeleton is
            that of its test set or of another of its sets.

    Raises:
        StoreError: If there is no such store, it is not complete, or its selection
            was matched to another labeled set than the config's.
        UserError: If the labeled set is not usable, or `write_report` refuses.
    """
    store = _opened(labels)
    if config is not None:
        _check_kind(store, config)
        config = with_read_annotations(config, images=False)[0]
        dataset = build_labeled(labeled_config(Recipe.of(config)))
        counts = count_labeled(dataset)
        selection = _selection_of(store)
        if selection is not None:
            _check_matched(store, selection, counts)
        options = replace(
            options,
            labeled=labeled_statistics(dataset, counts.images),
            skeleton=skeleton_of_config(config),
            rounds=rounds.read_rounds(store.root, config),
        )
    write_report(store, path, options)
    print_log(f'wrote {path}', logger='current')


def _opened(folder: str) -> LabelStore:
    """Open a store of poses or of boxes."""
    store = LabelStore(folder)
    return store if store.num_keypoints else LabelStore(folder, BOX_LABELS)


def _check_kind(store: LabelStore, config: Config) -> None:
    """Make sure that a store holds what the model of a config learns."""
    learns_boxes, holds_boxes = is_detector(config), not store.num_keypoints
    if learns_boxes != holds_boxes:
        words = {False: 'poses', True: 'boxes'}
        raise StoreError(
            f'{store.root} holds {words[holds_boxes]}, and {config.filename} distills '
            f'{words[learns_boxes]}; give the config whose distill.store it is'
        )


def _selection_of(store: LabelStore) -> Selection | None:
    """Read the selection of a store, None before one was made."""
    selected = (store.root / SELECTION_FILE).is_file()
    return read_selection(store) if selected else None


def _check_matched(
    store: LabelStore, selection: Selection, counts: LabeledCounts
) -> None:
    """Make sure that a selection was matched to a labeled set."""
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
        path: The page, written whole or not at all.
        options: Content of the report besides the store.

    Raises:
        UserError: If the store is not complete, its selection, its audit or a file of
            results is not usable, or the page cannot be written.
    """
    options = options or ReportOptions()
    if options.num < 0:
        raise ConfigError(f'a gallery holds at least 0 labels, got {options.num}')
    page = render_page(template_variables(store, options))
    write_bytes(path, page.encode())


def template_variables(store: LabelStore, options: ReportOptions) -> dict[str, Any]:
    """Compute the variables of the template.

    Args:
        store: A complete store.
        options: Content of the report besides the store.
    """
    manifest = store.manifest
    audit, selection = read_audit(store.root), _selection_of(store)
    results = read_results(options.results) if options.results else None
    data = collect(store, selection)
    img_root = options.img_root or Path(manifest['about']['img_root'])
    renderer = ThumbnailRenderer(
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
        keypoint_thrs=_keypoint_thresholds(selection),
        class_names=_class_names(manifest),
        threshold_plots=figures.threshold_plots(data, selection),
        count_plots=figures.count_plots(data, options.labeled, manifest['keypoints']),
        keypoint_rows=_keypoint_rows(data, manifest['keypoints'], options.labeled),
        labeled=options.labeled,
        agreement_plot=figures.agreement_plot(data, selection),
        source_rows=_source_rows(data, selection),
        category_rows=category_rows(selection) if selection else [],
        galleries=galleries(data, selection is not None, renderer, options.num),
        img_root=str(img_root),
        failure_rows=_failure_rows(data),
        **_worth_variables(store, selection),
        **_audit_variables(audit, selection),
        **_round_variables(store, options),
        results=results,
        results_lead=captions.student_lead(results) if results else '',
        results_plot=figures.results_plot(results) if results else None,
        mean_and_deviation=mean_and_deviation,
    )


def _keypoint_thresholds(selection: Selection | None) -> str:
    """Scores above which keypoints are visible; empty for boxes."""
    if selection is None:
        return format_range([KEYPOINT_THR], 3)
    return '' if selection.of_boxes else format_range(selection.keypoint_thrs, 3)


def _class_names(manifest: Mapping[str, Any]) -> dict[int, str]:
    """Names of the classes of a detector by category."""
    categories = (manifest.get('detector') or {}).get('categories') or {}
    return {number: name for name, number in categories.items()}


def _round_variables(store: LabelStore, options: ReportOptions) -> dict[str, Any]:
    """Variables of the template's section on rounds."""
    known = options.rounds
    if known is None:
        known = rounds.read_rounds(store.root)
    return dict(
        round_rows=rounds.round_rows(known),
        round_metrics=rounds.metric_names(known),
        round_warnings=rounds.round_warnings(known),
        round_plots=rounds.round_plots(known),
    )


def _worth_variables(store: LabelStore, selection: Selection | None) -> dict[str, Any]:
    """Variables of the template's section on what the labels can be worth."""
    worth = read_label_worth(store.root)
    if worth is None or selection is None:
        return dict(worth=None)
    return dict(
        worth=worth,
        worth_rows=_worth_rows(worth),
        worth_is_stale=worth.made_by != label_digest(store),
    )


def _worth_rows(worth: LabelWorth) -> list[dict[str, Any]]:
    """Rows of the table of views: error and AP."""
    return [
        dict(name=name, error=error, precision=worth.precision[name])
        for name, error in worth.errors.items()
    ]


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
        nothing_matched=captions.nothing_matched(audit),
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
    """Rows of the table of keypoint types; means are NaN where none is visible."""
    if not names:
        return []
    sums = data.keypoints
    counts = np.where(sums.visible, sums.visible, np.nan)
    columns = dict(
        name=list(names),
        visible=figures.label_shares(data).tolist(),
        score=(sums.score_sum / counts).tolist(),
        agreement=(sums.agreement_sum / counts).tolist(),
    )
    if labeled is not None:
        columns['labeled'] = labeled.visible.mean(axis=0).tolist()
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _source_rows(data: ReportData, selection: Selection | None) -> list[dict[str, Any]]:
    """Rows of the table of sources, in the order of their names."""
    return [
        dict(
            name=name,
            counts=counts,
            threshold='' if selection is None else format_thresholds(selection, name),
        )
        for name, counts in sorted(data.sources.counts.items())
    ]


def _failure_rows(data: ReportData) -> list[dict[str, Any]]:
    """Rows of reasons by descending frequency; the rare ones share the last row."""
    ranked = sorted(data.failures.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        dict(reason=reason, count=count, example=data.failed_example[reason])
        for reason, count in ranked[:MAX_REASONS]
    ]
    others = Counter(dict(ranked[MAX_REASONS:]))
    if others:
        reason, example = f'{len(others):,} other reasons', next(iter(others))
        rows.append(dict(reason=reason, count=others.total(), example=example))
    return rows


def render_page(variables: Mapping[str, Any]) -> str:
    """Fill the template; all text that is not markup is escaped.

    Args:
        variables: Variables of the template.
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
    return environment.get_template(TEMPLATE).render(variables)


def decimals(value: float, places: int = 3) -> str:
    """Format a number with a number of decimals; a dash where it is NaN."""
    return '–' if math.isnan(value) else f'{value:,.{places}f}'
