"""Images that a COCO json lists."""

from __future__ import annotations

from pathlib import Path

from mmdistill.datasets.image_list import images_of_coco
from mmdistill.datasets.sources.file_sources import FileSource, existing_paths
from mmdistill.datasets.sources.source import Listing, text_option
from mmdistill.registry import SOURCES


@SOURCES.register_module()
class CocoSource(FileSource):
    """The images of a COCO json, in the order of their ids; annotations are ignored.

    Args:
        root: Folder that `ann_file` and `path` are relative to.
        ann_file: A json with `images`, each with `id` and `file_name`.
        path: Folder that the file names are relative to.
        name: What labels of these images are counted under.
    """

    def __init__(
        self, root: Path, ann_file: str, path: str = '', name: str | None = None
    ) -> None:
        self.ann_file = text_option('ann_file', ann_file)
        default = Path(self.ann_file).stem
        super().__init__(root, path, default if name is None else name)

    def list_images(self) -> Listing:
        """Read the json.

        Raises:
            UserError: If it is missing, has another form or lists no image that is
                there.
        """
        images = images_of_coco(self.root / self.ann_file)
        listed = [Path(self.path, path).as_posix() for path in images.paths]
        keys, problems = existing_paths(self.root / self.ann_file, self.root, listed)
        return Listing(keys, ids=images.ids, sizes=images.sizes, problems=problems)
