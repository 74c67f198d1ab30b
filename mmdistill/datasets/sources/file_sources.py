"""Images that are files: below a folder, of a pattern, or of a text list.

Images that a COCO json lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.datasets.sources.base import Listing, Source, text_option
from mmdistill.datasets.sources.folder_walk import is_file
from mmdistill.datasets.sources.image_list import (
    SUFFIXES,
    images_of_coco,
    images_of_folder,
)
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage
from mmdistill.datasets.sources.patterns import find_files
from mmdistill.errors import ConfigError, DataError
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

    def encoded(self, key: str, place: np.ndarray, reader: ImageReader) -> bytes | None:
        """The bytes of one file, or of its pixels where they were scaled.

        Args:
            key: Its path, relative to the data root.
            place: Not used.
            reader: Decodes it.
        """
        image = self.read(key, place, reader)
        return self.encoded_file(image, (self.root / key).read_bytes)


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
        hidden: Whether hidden files (``._a.jpg``) and those in hidden folders or in
            those of systems (``@eaDir``, ``__MACOSX``) are images too.

    Raises:
        UserError: If a filter is not a list of texts, or `hidden` not a truth value.
    """

    def __init__(
        self,
        root: Path,
        path: str = '',
        name: str | None = None,
        include: Sequence[str] = ('*',),
        exclude: Sequence[str] = (),
        hidden: bool = False,
    ) -> None:
        path = text_option('path', path)
        super().__init__(root, path, Path(path).name if name is None else name)
        if not isinstance(hidden, bool):
            raise ConfigError(f'hidden must be True or False, got {hidden!r}')
        self.include = _patterns('include', include)
        self.exclude = _patterns('exclude', exclude)
        self.hidden = hidden

    def list_images(self) -> Listing:
        """Walk the folder.

        Raises:
            UserError: If the folder does not exist, or no image passes the filters.
        """
        folder = self.root / self.path
        found = images_of_folder(folder, self.hidden)
        kept = [path for path in found.paths if self._passes(path)]
        if not kept:
            raise DataError(
                f'none of the {len(found)} images of {folder} passes the filters '
                f'include={list(self.include)} and exclude={list(self.exclude)}'
            )
        keys = [Path(self.path, path).as_posix() for path in kept]
        return Listing(keys, problems=list(found.problems))

    def _passes(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self.include) and not any(
            fnmatchcase(path, pattern) for pattern in self.exclude
        )


@SOURCES.register_module()
class GlobSource(FileSource):
    """Image files of a pattern, by path.

    Args:
        root: Folder that `pattern` is relative to.
        pattern: As ``'cameras/*/day?/**/*.jpg'``; ``**`` is any number of folders, and
            ``{a,b}`` and ``{00..09}`` are each of these. What exists is taken as it
            is: ``'photos [2023]/*.jpg'``. Hidden files match no ``*``.
        name: What labels of these images are counted under.
    """

    def __init__(self, root: Path, pattern: str, name: str | None = None) -> None:
        super().__init__(root, text_option('pattern', pattern), name)

    def list_images(self) -> Listing:
        """Expand the pattern.

        Raises:
            UserError: If no image file matches it.
        """
        found = find_files(self.root, self.path, SUFFIXES)
        if not found.paths:
            sentence = f'no image below {self.root} matches {self.path}'
            raise DataError('; '.join([sentence, *found.problems]))
        return Listing(found.paths, problems=found.problems)


@SOURCES.register_module()
class ListSource(FileSource):
    """Image files that a text lists, in its order.

    A line is a path; what follows a tab, empty lines and lines that begin with ``#``
    are ignored. A path that occurs twice counts once. A file that is missing becomes
    a failed row, but not all of them may be.

    Args:
        root: Folder that `path` and `img_root` are relative to.
        path: The text, UTF-8; a name that is not has the bytes that it has on disk.
        name: What labels of these images are counted under.
        img_root: Folder that the lines are relative to.
    """

    def __init__(
        self, root: Path, path: str, name: str | None = None, img_root: str = ''
    ) -> None:
        super().__init__(root, path, name)
        self.img_root = text_option('img_root', img_root)

    def list_images(self) -> Listing:
        """Read the text.

        Raises:
            UserError: If it can't be read, lists nothing, or only missing files.
        """
        file = self.root / self.path
        names = [line.split('\t')[0].strip(' \r') for line in _lines(file)]
        paths = [
            Path(self.img_root, name).as_posix()
            for name in names
            if name and not name.startswith('#')
        ]
        if not paths:
            raise DataError(f'the image list {file} lists no image')
        keys, problems = existing_paths(file, self.root, paths)
        return Listing(list(dict.fromkeys(keys)), problems=problems)


def existing_paths(
    what: Path, root: Path, paths: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Find the files that a list names; one that is missing stays as it is named.

    One missing image is a failed row; all of them are a wrong folder. Where there is
    no file of a name with backslashes, they are slashes, as lists from Windows have
    them.

    Args:
        what: The list that names them.
        root: Folder that they are relative to.
        paths: The paths.

    Returns:
        The paths, in their order, and sentences that count what was changed.

    Raises:
        UserError: If none of them is a file.
    """
    found = [_with_slashes(root, path) for path in paths]
    if not any(is_file(root / path) for path in found):
        raise DataError(
            f'none of the {len(paths)} listed images is below {root}, the first would '
            f'be {paths[0]}; the list is {what}'
        )
    changed = sum(one != other for one, other in zip(found, paths, strict=True))
    if not changed or len(set(found)) < len(set(paths)):
        return list(paths), []
    sentence = f'{changed} of {len(paths)} paths of {what} have backslashes for slashes'
    return found, [sentence]


def _with_slashes(root: Path, path: str) -> str:
    if '\\' not in path or is_file(root / path):
        return path
    other = Path(path.replace('\\', '/')).as_posix()
    return other if is_file(root / other) else path


def _lines(file: Path) -> list[str]:
    """The lines of a text; bytes that are not UTF-8 are as in names of files."""
    try:
        if file.exists() and not file.is_file():
            raise DataError(f'the image list {file} is not a file')
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or str(error)
        raise DataError(f'the image list {file} cannot be read: {reason}') from error
    # UTF-16 begins so.
    if content.startswith((b'\xff\xfe', b'\xfe\xff')) or b'\0' in content:
        raise DataError(f'the image list {file} is not UTF-8; save it as UTF-8')
    text = content.removeprefix(b'\xef\xbb\xbf').decode('utf-8', 'surrogateescape')
    return text.replace('\r\n', '\n').split('\n')


def _patterns(option: str, patterns: Any) -> list[str]:
    listed = isinstance(patterns, Sequence) and not isinstance(patterns, (str, bytes))
    if not listed or not all(isinstance(pattern, str) for pattern in patterns):
        raise ConfigError(f'{option} must be a list of patterns, got {patterns!r}')
    return list(patterns)


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
        problems = [*images.problems, *problems]
        return Listing(keys, ids=images.ids, sizes=images.sizes, problems=problems)
