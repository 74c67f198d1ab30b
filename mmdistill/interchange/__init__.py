"""Labels of other tools, in and out: DeepLabCut, SLEAP, Label Studio, YOLO, CVAT."""

from mmdistill.interchange.convert import (
    TOOLS,
    ImportOptions,
    export_labels,
    import_labels,
)

__all__ = ['TOOLS', 'ImportOptions', 'export_labels', 'import_labels']
