# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Says what is wrong with result files before they go to a test server."""

import io
import os
import posixpath
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from mmseg_lrr.evaluation.label_png import voc_palette

#: Classes of PASCAL VOC, background included.
VOC_CLASSES = 21

#: Competition -> where its files lie in the archive for the server.
VOC_FOLDERS = {
    name: f'results/VOC2012/Segmentation/{name}_test_cls' for name in ('comp5', 'comp6')
}

#: Cityscapes' labelId of each trainId 0..18.
CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

#: Width and height of every Cityscapes image, in pixels.
CITYSCAPES_SIZE = (2048, 1024)

# No label PNG of these test sets comes near either; an archive that claims more is not decoded.
_MAX_BYTES = 2**24
_MAX_PIXELS = 2**24

_CITYSCAPES_ID = re.compile(r'[^_/]+_\d{6}_\d{6}')

_DAMAGED_PNG = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_DAMAGED_ARCHIVE = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class _Member:
    """A file of a folder or an archive: its path there, its size in bytes, and how to read it."""

    name: str
    size: int
    read: Callable[[], bytes]


def _folder_members(folder: Path) -> Iterator[_Member]:
    for path in sorted(folder.rglob('*')):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            yield _Member(name, path.stat().st_size, path.read_bytes)


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        if not info.isdir():
            # extractfile gives None for links and devices, which then read as an empty file.
            handle = tar.extractfile(info) if info.isfile() else io.BytesIO()
            yield _Member(posixpath.normpath(info.name), info.size, handle.read)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if not info.is_dir():
            # No file is written, so a name that points elsewhere is only a wrong name.
            yield _Member(
                posixpath.normpath(info.filename),
                info.file_size,
                lambda info=info: archive.read(info),
            )


@contextmanager
def _members(source: Path) -> Iterator[Iterable[_Member]]:
    """List the files of a folder, a tar or a zip; nothing is unpacked."""
    if source.is_dir():
        yield _folder_members(source)
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            yield _zip_members(archive)
    else:
        with tarfile.open(source) as tar:
            yield _tar_members(tar)


def read_ids(path: str | os.PathLike) -> list[str]:
    """Read a list of image ids, one a line; empty lines are skipped.

    Raises:
        ValueError: The list is empty.
    """
    lines = Path(path).read_text(encoding='utf-8').splitlines()
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise ValueError(f'the list of ids {path} is empty')
    return ids


def _some(items: Iterable, most: int = 5) -> str:
    """Join a few of the items."""
    items = list(items)
    return ', '.join(str(item) for item in items[:most]) + (', ...' if len(items) > most else '')


def _voc_id(name: str) -> str:
    return PurePosixPath(name).stem


def _cityscapes_id(name: str) -> str:
    """Return ``<city>_<sequence>_<frame>``, by which the server finds a file."""
    match = _CITYSCAPES_ID.match(PurePosixPath(name).name)
    return match.group() if match else PurePosixPath(name).stem


def _image_sizes(
    images: str | os.PathLike, wanted: set[str], id_of: Callable[[str], str]
) -> dict[str, tuple[int, int]]:
    """Read the width and height of the wanted photographs in a folder and those inside it."""
    if not Path(images).is_dir():
        raise NotADirectoryError(f'the folder of images {images} is not there')
    sizes = {}
    for path in sorted(Path(images).rglob('*')):
        identity = id_of(path.name)
        if identity in wanted and path.suffix.lower() in ('.jpg', '.jpeg', '.png'):
            with Image.open(path) as image:
                sizes[identity] = image.size
    return sizes


def _png_problems(
    member: _Member,
    size: tuple[int, int] | None,
    pixel_problem: Callable[[Image.Image], str | None],
) -> Iterator[str]:
    """Find what is wrong with one PNG.

    Args:
        member: The file.
        size: Width and height wanted, if known.
        pixel_problem: Looks at the decoded picture.
    """
    if member.size > _MAX_BYTES:
        yield f'{member.name}: {member.size} bytes are too many for a label PNG'
        return
    try:
        with Image.open(io.BytesIO(member.read()), formats=['PNG']) as image:
            if size is not None and image.size != size:
                yield (
                    f'{member.name}: {image.width} x {image.height} pixels (width x height), '
                    f'expected {size[0]} x {size[1]}'
                )
            if image.width * image.height > _MAX_PIXELS:
                yield f'{member.name}: too many pixels for a test image; not decoded'
                return
            image.load()
            problem = pixel_problem(image)
    except _DAMAGED_PNG as error:
        yield f'{member.name}: not a readable PNG ({error})'
        return
    if problem is not None:
        yield f'{member.name}: {problem}'


def _voc_pixel_problem(image: Image.Image) -> str | None:
    if image.mode != 'P':
        return f'mode {image.mode}, expected an indexed PNG (mode P)'
    values = np.unique(np.asarray(image))
    if values[-1] >= VOC_CLASSES:
        return f'values {_some(values[values >= VOC_CLASSES])} are no class ids 0..20'
    palette = np.array(image.getpalette(), dtype=np.int64).reshape(-1, 3)
    wanted = voc_palette()
    wrong = [v for v in values if v >= len(palette) or (palette[v] != wanted[v]).any()]
    if wrong:
        return f"the palette's colours of the classes {_some(wrong)} are not VOC's"
    return None


def _cityscapes_pixel_problem(image: Image.Image) -> str | None:
    if image.mode not in ('L', 'P'):
        return f'mode {image.mode}, expected one channel of 8 bits (mode L or P)'
    values = np.unique(np.asarray(image))
    wrong = values[~np.isin(values, CITYSCAPES_LABEL_IDS)]
    if not len(wrong):
        return None
    if values[-1] < len(CITYSCAPES_LABEL_IDS):
        return f'values {_some(values)} look like trainIds; the server wants labelIds 7..33'
    return f'values {_some(wrong)} are no labelIds of the 19 classes'


@dataclass(frozen=True)
class _Server:
    """How the servers differ.

    Attributes:
        folders: Where the files may lie; '' is anywhere.
        id_of: File name -> id of the image.
        pixel_problem: Looks at a decoded picture.
        size: Width and height of every image, if they are all the same.
    """

    folders: tuple[str, ...]
    id_of: Callable[[str], str]
    pixel_problem: Callable[[Image.Image], str | None]
    size: tuple[int, int] | None


_VOC = _Server(
    tuple(f'{folder}/' for folder in VOC_FOLDERS.values()), _voc_id, _voc_pixel_problem, None
)
_CITYSCAPES = _Server(('', ), _cityscapes_id, _cityscapes_pixel_problem, CITYSCAPES_SIZE)


def _check(
    server: _Server,
    source: str | os.PathLike,
    ids: Iterable[str],
    images: str | os.PathLike | None,
) -> list[str]:
    """Do what both servers' checks have in common."""
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f'there is no folder or archive {source}')
    wanted = {server.id_of(name) for name in ids}
    if images is None:
        sizes = dict.fromkeys(wanted, server.size)
    else:
        sizes = _image_sizes(images, wanted, server.id_of)
    problems = [f'{name}: no image of that name in {images}' for name in wanted - sizes.keys()]
    problems.sort()

    found: dict[str, dict[str, str]] = {}
    try:
        with _members(source) as members:
            for member in members:
                folder = next((f for f in server.folders if member.name.startswith(f)), None)
                if folder is None:
                    # Beside the results, a folder may hold other things; an archive may not.
                    if not source.is_dir():
                        problems.append(f'{member.name}: does not belong in the archive')
                elif folder or member.name.endswith('.png'):
                    seen = found.setdefault(folder, {})
                    problems.extend(_member_problems(server, member, seen, wanted, sizes))
    except _DAMAGED_ARCHIVE as error:
        problems.append(f'{source}: cannot be read to its end ({error})')

    if not found:
        problems.append(f'{source}: no PNG files in {" or ".join(server.folders) or "it"}')
    for folder, seen in found.items():
        missing = sorted(wanted - seen.keys())
        if missing:
            problems.append(
                f'{folder or source}: {len(missing)} of {len(wanted)} images have no file: '
                f'{_some(missing)}'
            )
    return problems


def _member_problems(
    server: _Server,
    member: _Member,
    seen: dict[str, str],
    wanted: set[str],
    sizes: dict[str, tuple[int, int] | None],
) -> Iterator[str]:
    """Find what is wrong with one file.

    Args:
        server: Which rules hold.
        member: The file.
        seen: Id -> name of the files before this one; it is added.
        wanted: Ids of the test set.
        sizes: Id -> width and height wanted, where known.
    """
    identity = server.id_of(member.name)
    if not member.name.endswith('.png') or identity not in wanted:
        yield f'{member.name}: not a PNG of an image in the list'
    elif identity in seen:
        yield f'{member.name}: a second file for the image of {seen[identity]}'
    else:
        seen[identity] = member.name
        yield from _png_problems(member, sizes.get(identity), server.pixel_problem)


def check_voc_submission(
    source: str | os.PathLike,
    ids: Iterable[str],
    images: str | os.PathLike | None = None,
) -> list[str]:
    """Check result files for the PASCAL VOC 2012 segmentation server.

    Args:
        source: The folder that has ``results/VOC2012/Segmentation/comp5_test_cls`` or
            ``comp6_test_cls`` in it (both are checked if both are there), or the tar or zip.
        ids: Images of the test set, such as ``2008_000006``.
        images: Folder of the photographs (``JPEGImages``), to compare sizes; None skips that.

    Returns:
        What is wrong, one line a thing; nothing if all is well.

    Raises:
        FileNotFoundError: ``source`` does not exist.
    """
    return _check(_VOC, source, ids, images)


def check_cityscapes_submission(
    source: str | os.PathLike,
    ids: Iterable[str],
    images: str | os.PathLike | None = None,
) -> list[str]:
    """Check result files for the Cityscapes pixel-level server.

    Args:
        source: The folder of PNG files, or the zip or tar.
        ids: Images of the test set; ``berlin_000000_000019``, with or without what follows in the
            file name and the folder before it.
        images: Folder of the photographs (``leftImg8bit/test``), to compare sizes; None expects
            2048 x 1024.

    Returns:
        What is wrong, one line a thing; nothing if all is well.

    Raises:
        FileNotFoundError: ``source`` does not exist.
    """
    return _check(_CITYSCAPES, source, ids, images)
