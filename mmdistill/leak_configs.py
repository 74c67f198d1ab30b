"""From a config to the sets that unlabelled images must not be in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.dataset_configs import members_of


def leak_guard_config(
    config: Config, labeled: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What `UnlabeledDataset` compares its images with; None if switched off.

    Args:
        config: A config with a `distill` section; its validation set counts, with
            all its members.
        labeled: Config of the labelled data set; all its members count.
    """
    if not config.distill.get('leak_guard', True):
        return None
    guard: dict[str, Any] = {'cache': str(Path(config.work_dir, 'image_hashes.json'))}
    validation = (config.get('val_dataloader') or {}).get('dataset')
    for name, dataset in (('val', validation), ('labeled', labeled)):
        sets = members_of(dataset) if dataset else []
        guard[name] = [
            dict(
                ann_file=str(Path(one.get('data_root') or '', one['ann_file'])),
                img_root=str(
                    Path(
                        one.get('data_root') or '',
                        (one.get('data_prefix') or {}).get('img', ''),
                    )
                ),
            )
            for one in sets
            if one.get('ann_file')
        ]
    return guard
