"""MMEngine's backend of MLflow, with metrics by names that MLflow takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmengine.visualization import MLflowVisBackend

from mmdistill.registry import VISBACKENDS

OTHERS = re.compile(r'[^\w/.\- :]')
"""Characters that the name of a metric must not have in MLflow."""


@VISBACKENDS.register_module()
class MLflowBackend(MLflowVisBackend):
    """Log to MLflow; `coco/AP (M)` is called `coco/AP _M_`, which it takes.

    Arguments are those of MMEngine's `MLflowVisBackend`.
    """

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Log a value.

        Args:
            name: Its name.
            value: The value.
            step: Number of the step.
            **kwargs: Not used.
        """
        super().add_scalar(allowed_name(name), value, step, **kwargs)

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log several values.

        Args:
            scalar_dict: Values by name.
            step: Number of the step.
            file_path: Not used.
            **kwargs: Not used.
        """
        named = {allowed_name(name): value for name, value in scalar_dict.items()}
        super().add_scalars(named, step, file_path, **kwargs)


def allowed_name(name: str) -> str:
    """Replace what MLflow does not take in the name of a metric.

    Args:
        name: The name.

    >>> allowed_name('coco/AP (M)'), allowed_name('loss_kpt/pseudo')
    ('coco/AP _M_', 'loss_kpt/pseudo')
    """
    return OTHERS.sub('_', name)
