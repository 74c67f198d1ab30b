"""Sources of image files: of a folder, a pattern, a text list or a COCO json."""

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
    """Source of image files below the data root."""

    def read(self, key: str, location: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one file.

        Args:
            key: Its path, relative to the data root.
            location: Not used, (0,).
            reader: Decoder.
        """
        return reader.read(self.root / key)

    def encoded(
        self, key: str, location: np.ndarray, reader: ImageReader
    ) -> bytes | None:
        """Return the bytes of one file, or a PNG of its pixels if they were scaled.

        Args:
            key: Its path, relative to the data root.
            location: Not used.
            reader: Decoder.
        """
        image = self.read(key, location, reader)
        return self.encoded_file(image, (self.root / key).read_bytes)


@SOURCES.register_module()
class FolderSource(FileSource):
    """Source of all images below a folder, sorted by path.

    Args:
        root: Folder that `path` is relative to.
        path: The folder; links are followed, each folder once.
        name: Name of the source in counts and thresholds.
        include: Patterns as ``'day1/*.jpg'``, matched with the path below the folder
            (``*`` matches slashes too); an image must match one of them.
        exclude: Patterns of which an image must match none.
        hidden: Whether to list hidden files (``._a.jpg``) and those in hidden folders
            or in system folders (``@eaDir``, ``__MACOSX``).

    Raises:
        UserError: If a filter is not a list of strings, or `hidden` not a boolean.
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
        """List the images of the folder.

        Raises:
            UserError: If the folder does not exist, or no image passes the filters.
        """
        folder = self.root / self.path
        image_list = images_of_folder(folder, self.hidden)
        kept = [path for path in image_list.paths if self._passes(path)]
        if not kept:
            raise DataError(
                f'none of the {len(image_list)} images of {folder} passes the filters '
                f'include={list(self.include)} and exclude={list(self.exclude)}'
            )
        keys = [Path(self.path, path).as_posix() for path in kept]
        return Listing(keys, problems=list(image_list.problems))

    def _passes(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self.include) and not any(
            fnmatchcase(path, pattern) for pattern in self.exclude
        )


@SOURCES.register_module()
class GlobSource(FileSource):
    """Source of image files that match a pattern, sorted by path.

    Args:
        root: Folder that `pattern` is relative to.
        pattern: As ``'cameras/*/day?/**/*.jpg'``; ``**`` is any number of folders, and
            ``{a,b}`` and ``{00..09}`` are expanded. Existing folders are taken
            literally: ``'photos [2023]/*.jpg'``. Hidden files match no ``*``.
        name: Name of the source in counts and thresholds.
    """

    def __init__(self, root: Path, pattern: str, name: str | None = None) -> None:
        super().__init__(root, text_option('pattern', pattern), name)

    def list_images(self) -> Listing:
        """List the images that match the pattern.

        Raises:
            UserError: If no image file matches it.
        """
        matched = find_files(self.root, self.path, SUFFIXES)
        if not matched.paths:
            sentence = f'no image below {self.root} matches {self.path}'
            raise DataError('; '.join([sentence, *matched.problems]))
        return Listing(matched.paths, problems=matched.problems)


@SOURCES.register_module()
class ListSource(FileSource):
    """Source of image files in the order of a text list.

    A line is a path; text after a tab, empty lines and lines that start with ``#`` are
    ignored. A repeated path counts once. A missing file becomes a failed row, but not
    all of them may be missing.

    Args:
        root: Folder that `path` and `img_root` are relative to.
        path: The list, in UTF-8; other bytes of names are kept as on disk.
        name: Name of the source in counts and thresholds.
        img_root: Folder that the lines are relative to.
    """

    def __init__(
        self, root: Path, path: str, name: str | None = None, img_root: str = ''
    ) -> None:
        super().__init__(root, path, name)
        self.img_root = text_option('img_root', img_root)

    def list_images(self) -> Listing:
        """List the images of the text list.

        Raises:
            UserError: If it cannot be read, is empty, or lists only missing files.
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
    list_file: Path, root: Path, paths: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Check that listed files exist, and replace backslashes of lists from Windows.

    One missing image is a failed row; if all are missing, the folder is wrong.
    Backslashes are replaced only if no file has the name with them.

    Args:
        list_file: The list.
        root: Folder that the paths are relative to.
        paths: The paths.

    Returns:
        The paths, in order, and sentences that count the changes.

    Raises:
        UserError: If none of them is a file.
    """
    existing = [_with_slashes(root, path) for path in paths]
    if not any(is_file(root / path) for path in existing):
        raise DataError(
            f'none of the {len(paths)} listed images is below {root}, the first would '
            f'be {paths[0]}; the list is {list_file}'
        )
    changed = sum(path != listed for path, listed in zip(existing, paths, strict=True))
    if not changed or len(set(existing)) < len(set(paths)):
        return list(paths), []
    sentence = (
        f'{changed} of {len(paths)} paths of {list_file} have backslashes for slashes'
    )
    return existing, [sentence]


def _with_slashes(root: Path, path: str) -> str:
    if '\\' not in path or is_file(root / path):
        return path
    with_slashes = Path(path.replace('\\', '/')).as_posix()
    return with_slashes if is_file(root / with_slashes) else path


def _lines(file: Path) -> list[str]:
    """Lines of a text file; bytes that are not UTF-8 become surrogates."""
    try:
        if file.exists() and not file.is_file():
            raise DataError(f'the image list {file} is not a file')
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise DataError(f'the image list {file} cannot be read: {reason}') from error
    # Byte order marks of UTF-16.
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
    """Source of the images of a COCO json, by id; annotations are ignored.

    Args:
        root: Folder that `ann_file` and `path` are relative to.
        ann_file: A json with `images`, each with `id` and `file_name`.
        path: Folder that the file names are relative to.
        name: Name of the source in counts and thresholds.
    """

    def __init__(
        self, root: Path, ann_file: str, path: str = '', name: str | None = None
    ) -> None:
        self.ann_file = text_option('ann_file', ann_file)
        default = Path(self.ann_file).stem
        super().__init__(root, path, default if name is None else name)

    def list_images(self) -> Listing:
        """List the images of the json.

        Raises:
            UserError: If it is missing, has another form or lists no existing image.
        """
        images = images_of_coco(self.root / self.ann_file)
        listed = [Path(self.path, path).as_posix() for path in images.paths]
        keys, problems = existing_paths(self.root / self.ann_file, self.root, listed)
        problems = [*images.problems, *problems]
        return Listing(keys, ids=images.ids, sizes=images.sizes, problems=problems)
