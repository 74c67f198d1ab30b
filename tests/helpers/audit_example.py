"""A small audit, in the form of audit.json."""

from __future__ import annotations

from typing import Any

TABLE = dict(edges=[0.1, 0.5, 0.9], error=[0.3, 0.1], count=[7, 8])
FIGURES: dict[str, Any] = dict(
    precision={'0.5': 0.875, '0.75': 0.5}, recall={'0.5': 0.75, '0.75': 0.25}
)
PART: dict[str, Any] = dict(
    source=None,
    category_id=None,
    score_thr=0.42,
    labels=20,
    kept=11,
    error=dict(mean=0.2, median=0.125),
    **FIGURES,
)
EXAMPLE: dict[str, Any] = dict(
    audited=dict(
        ann_file='val.json', images=9, failed=1, instances=12, candidates=15, boxes='b'
    ),
    matched=dict(
        by='instance score',
        rule='count',
        score_thrs=[0.42],
        keypoint_thrs=[0.2, 0.2],
        kept=11,
        error=dict(mean=0.2, median=0.125),
        **FIGURES,
        parts=[PART],
    ),
    curve=dict(
        thresholds=[0.1, 0.5, 0.9],
        precision={'0.5': [0.7, 0.9, 1.0], '0.75': [0.4, 0.6, 1.0]},
        recall={'0.5': [0.9, 0.6, 0.1], '0.75': [0.4, 0.2, 0.1]},
    ),
    calibration=dict(score=TABLE, agreement=TABLE),
    rank_correlations=dict(
        keypoint=dict(score=-0.5, agreement=-0.25, product=-0.625),
        instance=dict(score=-0.125, agreement=None, product=None),
    ),
    per_keypoint=[
        dict(
            name=name,
            error=0.2,
            median=0.125,
            count=15,
            calibration=dict(score=TABLE, agreement=TABLE),
        )
        for name in ('nose', 'left_eye')
    ],
    gains={'single view': 0.3, 'flip': 0.35, 'fused': 0.4},
    gains_error={'single view': 0.25, 'flip': 0.22, 'fused': 0.19},
    verdict='At the matched threshold 0.420 about 12% are wrong.',
)
