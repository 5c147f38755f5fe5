# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Say what is wrong with the result files for a test server before they are uploaded.

Compares names, sizes and values, and exits with 1 if there are problems.
"""

import argparse
import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('server', choices=('voc', 'cityscapes'), help='the test server')
    parser.add_argument('source', type=Path,
                        help='folder that --out named, or the archive made in it')
    parser.add_argument('--ids', type=Path, required=True,
                        help="list of the test set's image ids, one a line")
    parser.add_argument('--images', type=Path, help='folder of the test images, to compare sizes')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

import numpy as np
from PIL import Image

from mmseg_lrr.evaluation.label_png import voc_palette
from mmseg_lrr.evaluation.metrics.submission import CITYSCAPES_LABEL_IDS, VOC_FOLDERS

CITYSCAPES_SIZE = (2048, 1024)


def image_id(server: str, name: str) -> str:
    """Return what the server finds a file by: Cityscapes' ``<city>_<sequence>_<frame>``."""
    match = re.search(r'[^_/]+_\d{6}_\d{6}', name) if server == 'cityscapes' else None
    return match.group() if match else Path(name).stem


def voc_problem(image: Image.Image) -> str | None:
    """Look at mode, values and palette."""
    if image.mode != 'P':
        return f'mode {image.mode}, expected an indexed PNG (mode P)'
    values = np.unique(image)
    if values[-1] > 20:
        return f'values {values[values > 20].tolist()} are no class ids 0..20'
    if (np.asarray(image.convert('RGB')) != voc_palette()[np.asarray(image)]).any():
        return "the palette's colours are not VOC's"
    return None


def cityscapes_problem(image: Image.Image) -> str | None:
    """Look at a PNG's mode and values."""
    if image.mode not in ('L', 'P'):
        return f'mode {image.mode}, expected one channel of 8 bits (mode L or P)'
    values = np.unique(image)
    wrong = np.setdiff1d(values, CITYSCAPES_LABEL_IDS).tolist()
    if wrong and values[-1] < len(CITYSCAPES_LABEL_IDS):
        return f'values {values.tolist()} look like trainIds; the server wants labelIds 7..33'
    return f'values {wrong} are no labelIds of the 19 classes' if wrong else None


def check_folder(server: str, folder: Path, sizes: dict[str, tuple[int, int] | None]
                 ) -> Iterator[str]:
    """Find what is wrong with the PNG files of a folder.

    ``sizes`` has width and height of each image of the test set by its id, None if not known.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob('*.png')):
        name = image_id(server, path.name)
        if name in found or name not in sizes:
            yield f'{path.name}: ' + (f'a second file for the image of {found[name]}' if name in
                                      found else 'not a PNG of an image in the list')
            continue
        found[name] = path.name
        try:
            with Image.open(path, formats=['PNG']) as image:
                if sizes[name] not in (None, image.size):
                    yield (f'{path.name}: {image.width} x {image.height} pixels (width x height), '
                           f'expected {sizes[name][0]} x {sizes[name][1]}')
                problem = (voc_problem if server == 'voc' else cityscapes_problem)(image)
        except (OSError, SyntaxError) as error:
            problem = f'not a readable PNG ({error})'
        if problem:
            yield f'{path.name}: {problem}'
    missing = sorted(sizes.keys() - found.keys())
    if missing:
        yield (f'{folder.name}: {len(missing)} of {len(sizes)} images have no file: '
               f'{", ".join(missing[:5])}{", ..." * (len(missing) > 5)}')


def check(server: str, source: Path, ids: list[str], images: Path | None = None) -> list[str]:
    """Find what is wrong with a server's result files, one line per problem.

    Args:
        server: ``'voc'`` or ``'cityscapes'``.
        source: For VOC the folder that has ``results/VOC2012/Segmentation/comp5_test_cls`` or
            ``comp6_test_cls`` in it (both are checked if both are there), for Cityscapes the folder
            of PNG files; or the archive.
        ids: Images of the test set; for Cityscapes ``berlin_000000_000019``, with or without what
            follows in the file name and the folder before it.
        images: Folder of the photographs, to compare sizes; without it Cityscapes' are 2048 x 1024,
            and VOC's are not compared.
    """
    sizes = dict.fromkeys((image_id(server, name) for name in ids),
                          CITYSCAPES_SIZE if server == 'cityscapes' else None)
    for path in images.rglob('*.*') if images else ():
        name = image_id(server, path.name)
        if name in sizes:
            with Image.open(path) as image:
                sizes[name] = image.size
    with contextlib.ExitStack() as stack:
        root = source
        if not source.is_dir():
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shutil.unpack_archive(source, root)
        names = VOC_FOLDERS.values() if server == 'voc' else ['.']
        folders = [root / name for name in names if any((root / name).glob('**/*.png'))]
        if not folders:
            return [f'{source}: no PNG files in {" or ".join(names)}']
        return [line for folder in folders for line in check_folder(server, folder, sizes)]


def main() -> int:
    args = parse_args()
    ids = args.ids.read_text(encoding='utf-8').split()
    problems = check(args.server, args.source, ids, args.images)
    for problem in problems:
        print(problem)
    print(f'problems: {len(problems)}' if problems else f'all well: {len(ids)} images')
    return int(bool(problems))


if __name__ == '__main__':
    sys.exit(main())
