"""Images that are files: below a folder, of a pattern, or of a text list."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from mmdistill.datasets.image_list import SUFFIXES, images_of_folder
from mmdistill.datasets.image_reader import ImageReader, ReadImage
from mmdistill.datasets.sources.source import Listing, Source
from mmdistill.errors import UserError
from mmdistill.registry import SOURCES


class FileSource(Source):
    """Images that are files below the data root."""

    def read(self, key: str, place: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one file.

        Args:
            key: Its path, relative to the data root.
            place: Not used.
            reader: Decodes it.
        """
        return reader.read(self.root / key)


@SOURCES.register_module()
class FolderSource(FileSource):
    """All images below a folder, by path.

    Args:
        root: Folder that `path` is relative to.
        path: The folder; links are followed, each folder once.
        name: What labels of these images are counted under.
        include: Patterns as ``'day1/*.jpg'``, matched with the path below the folder
            (``*`` matches slashes too); an image must match one of them.
        exclude: Patterns of which an image must match none.

    Raises:
        UserError: If a filter is a text and not a list of texts.
    """

    def __init__(
        self,
        root: Path,
        path: str = '',
        name: str | None = None,
        include: Sequence[str] = ('*',),
        exclude: Sequence[str] = (),
    ) -> None:
        super().__init__(root, path, Path(path).name if name is None else name)
        for option, patterns in (('include', include), ('exclude', exclude)):
            if isinstance(patterns, str):
                raise UserError(
                    f'{option} must be a list of patterns, got {patterns!r}'
                )
        self.include = include
        self.exclude = exclude

    def list_images(self) -> Listing:
        """Walk the folder.

        Raises:
            UserError: If the folder does not exist, or no image passes the filters.
        """
        folder = self.root / self.path
        found = images_of_folder(folder).paths
        kept = [path for path in found if self._passes(path)]
        if not kept:
            raise UserError(
                f'none of the {len(found)} images of {folder} passes the filters '
                f'include={list(self.include)} and exclude={list(self.exclude)}'
            )
        return Listing([Path(self.path, path).as_posix() for path in kept])

    def _passes(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self.include) and not any(
            fnmatchcase(path, pattern) for pattern in self.exclude
        )


@SOURCES.register_module()
class GlobSource(FileSource):
    """Image files of a pattern, by path.

    Args:
        root: Folder that `pattern` is relative to.
        pattern: As ``'cameras/*/day?/**/*.jpg'``; ``**`` is any number of folders.
        name: What labels of these images are counted under.
    """

    def __init__(self, root: Path, pattern: str, name: str | None = None) -> None:
        super().__init__(root, pattern, name)

    def list_images(self) -> Listing:
        """Expand the pattern.

        Raises:
            UserError: If no image file matches it.
        """
        found = matching_files(self.root, self.path, SUFFIXES)
        if not found:
            raise UserError(f'no image below {self.root} matches {self.path}')
        return Listing(found)


@SOURCES.register_module()
class ListSource(FileSource):
    """Image files that a text lists, in its order.

    A line is a path; what follows a tab, empty lines and lines that begin with ``#``
    are ignored. A path that occurs twice counts once. A file that is missing becomes
    a failed row, but not all of them may be.

    Args:
        root: Folder that `path` and `img_root` are relative to.
        path: The text, UTF-8.
        name: What labels of these images are counted under.
        img_root: Folder that the lines are relative to.
    """

    def __init__(
        self, root: Path, path: str, name: str | None = None, img_root: str = ''
    ) -> None:
        super().__init__(root, path, name)
        self.img_root = img_root

    def list_images(self) -> Listing:
        """Read the text.

        Raises:
            UserError: If it can't be read, lists nothing, or only missing files.
        """
        file = self.root / self.path
        try:
            lines = file.read_text(encoding='utf-8-sig').splitlines()
        except OSError as error:
            raise UserError(
                f'the image list {file} can not be read: {error.strerror}'
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(f'the image list {file} is not UTF-8: {error}') from error
        names = [line.split('\t')[0].strip() for line in lines]
        paths = [
            Path(self.img_root, name).as_posix()
            for name in names
            if name and not name.startswith('#')
        ]
        if not paths:
            raise UserError(f'the image list {file} lists no image')
        check_some_file(file, self.root, paths)
        return Listing(list(dict.fromkeys(paths)))


def check_some_file(what: Path, root: Path, paths: Sequence[str]) -> None:
    """One missing image is a failed row; all of them are a wrong folder.

    Args:
        what: The list that names them.
        root: Folder that they are relative to.
        paths: The paths.

    Raises:
        UserError: If none of them is a file.
    """
    if not any((root / path).is_file() for path in paths):
        raise UserError(
            f'none of the {len(paths)} listed images is below {root}, the first would '
            f'be {paths[0]}; the list is {what}'
        )


def matching_files(root: Path, pattern: str, suffixes: frozenset[str]) -> list[str]:
    """Files of a pattern, relative to a folder as the pattern is, by path.

    Args:
        root: The folder.
        pattern: The pattern; ``**`` is any number of folders.
        suffixes: Endings that count, in lower case.
    """
    # Path.glob refuses absolute patterns.
    found = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
    return sorted(
        Path(path).as_posix()
        for path in found
        if Path(path).suffix.lower() in suffixes and (root / path).is_file()
    )
