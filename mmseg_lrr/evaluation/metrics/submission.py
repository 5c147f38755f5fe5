# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the test servers' result files have in common."""

import tarfile
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log

from mmseg_lrr.evaluation.image_areas import image_name, prediction_map
from mmseg_lrr.evaluation.label_png import save_label_png
from mmseg_lrr.evaluation.output_paths import check_names_of_all, claim_name, output_folder
from mmseg_lrr.ops import checks
from mmseg_lrr.replacing import replacing

#: Archive format -> mode for :func:`tarfile.open`; the others are no tar files.
_TAR_MODES = {'tar': 'w', 'tar.gz': 'w:gz'}


class SubmissionFiles(BaseMetric):
    """Writes each final prediction as a PNG the way a test server wants it, then an archive.

    It goes where a metric goes (``test_evaluator``) and reports no figures. Ground truth is not
    looked at. In a distributed test each process writes its own images, so ``output_dir`` has to be
    a folder that all share; the first process makes the archive.

    A folder that has files in it is refused unless ``overwrite`` is set; files of the same names
    are then replaced and others stay, but are not put into the archive. Nothing is ever deleted.

    Args:
        output_dir: Folder for the results; made if it is not there. ``tools/test.py --out`` sets
            it.
        archive: Format of the archive to make in ``output_dir`` at the end; None makes none.
        overwrite: Whether ``output_dir`` may have files in it.
        keep_results: True. ``tools/test.py --out`` sets it.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: As every metric has; there are no figures to name.
    """

    #: Number of classes the server knows, in the order of the toolbox's data set.
    num_classes: int
    #: Accepted values of ``archive``, besides None.
    archive_formats: tuple[str, ...]
    #: Name of the archive without its ending.
    archive_name: str
    #: Colours of the PNG files; None for greyscale.
    palette: np.ndarray | None = None

    def __init__(
        self,
        *,
        output_dir: str,
        archive: str | None,
        overwrite: bool = False,
        keep_results: bool = True,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        checks.metric_options(collect_device, prefix)
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.output_dir = Path(output_folder('output_dir', output_dir))
        self.archive = checks.one_of('archive', archive, (*self.archive_formats, None))
        checks.boolean('overwrite', overwrite)
        checks.one_of('keep_results', keep_results, (True, ))
        # The first process looks before any of them writes, and tells the others.
        occupied = [
            is_main_process()
            and not overwrite
            and self.output_dir.is_dir()
            and any(self.output_dir.iterdir())
        ]
        broadcast_object_list(occupied)
        if occupied[0]:
            raise FileExistsError(
                f'output_dir {output_dir} is not empty. Give another folder, or overwrite=True to '
                'replace files of the same names in it'
            )
        self._sources: dict[str, str] = {}

    @abstractmethod
    def member(self, stem: str) -> str:
        """Say where an image's PNG goes.

        Args:
            stem: Name of the image file without its ending.

        Returns:
            Path inside ``output_dir`` and the archive, with forward slashes.
        """

    def encode(self, classes: np.ndarray) -> np.ndarray:
        """Turn classes ``(H, W)`` into the values the server wants; as they are by default."""
        return classes

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the PNG files of a batch.

        Args:
            data_batch: Not used.
            data_samples: The model's outputs as dicts, with ``img_path``.

        Raises:
            ValueError: A prediction is not of the original image's size or holds a class that the
                server does not know, or two images have the same name.
        """
        for data_sample in data_samples:
            classes = prediction_map(data_sample)
            self._check(data_sample, classes)
            member = self.member(Path(data_sample['img_path']).stem)
            claim_name(self._sources, member, data_sample['img_path'])
            save_label_png(self.output_dir / member, self.encode(classes), self.palette)
            self.results.append(member)

    def _check(self, data_sample: dict, classes: np.ndarray) -> None:
        size = tuple(data_sample.get('ori_shape', classes.shape)[:2])
        if classes.shape != size:
            raise ValueError(
                f'the prediction of {image_name(data_sample)} is of size {classes.shape} (height, '
                f'width), the image of {size}; the server wants full size'
            )
        if classes.min() < 0 or classes.max() >= self.num_classes:
            raise ValueError(
                f'the prediction of {image_name(data_sample)} holds classes '
                f'{classes.min()}..{classes.max()}; the server knows 0..{self.num_classes - 1}'
            )

    def evaluate(self, size: int) -> dict[str, float]:
        """Make the archive of what all processes wrote.

        Args:
            size: Number of images.

        Raises:
            ValueError: Two images have the same name, each of another process.
        """
        check_names_of_all(self._sources)
        return super().evaluate(size)

    def compute_metrics(self, results: list[str]) -> dict[str, float]:
        """Make the archive of what this test wrote.

        Args:
            results: The members of all processes.

        Returns:
            Nothing: the server has the ground truth.
        """
        where = f'{len(results)} PNG files are in {self.output_dir}'
        if self.archive is not None and results:
            path = self.output_dir / f'{self.archive_name}.{self.archive}'
            self._write_archive(path, sorted(set(results)))
            where += f', and in {path} for the server'
        print_log(where, MMLogger.get_current_instance())
        return {}

    def _write_archive(self, path: Path, members: list[str]) -> None:
        with replacing(path) as temporary:
            if self.archive in _TAR_MODES:
                with tarfile.open(temporary, _TAR_MODES[self.archive]) as tar:
                    for member in members:
                        tar.add(self.output_dir / member, arcname=member)
            else:
                # PNG files are compressed already.
                with zipfile.ZipFile(temporary, 'w', zipfile.ZIP_STORED) as archive:
                    for member in members:
                        archive.write(self.output_dir / member, arcname=member)
