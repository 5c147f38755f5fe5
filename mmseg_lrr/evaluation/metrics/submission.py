# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Result files for the PASCAL VOC 2012 and the Cityscapes servers."""

import tarfile
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import dist
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmseg.registry import METRICS

from mmseg_lrr.evaluation.image_areas import label_map
from mmseg_lrr.evaluation.label_png import save_label_png, voc_palette
from mmseg_lrr.files import replacing
from mmseg_lrr.ops import checks

#: Competition -> where its files lie in the archive for the VOC server.
VOC_FOLDERS = {
    name: f'results/VOC2012/Segmentation/{name}_test_cls' for name in ('comp5', 'comp6')
}

#: Cityscapes' labelId of each trainId 0..18.
CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


class SubmissionFiles(BaseMetric):
    """Writes each final prediction as a PNG the way a test server wants it, then an archive.

    It goes where a metric goes (``test_evaluator``) and reports no scores. Ground truth is not
    looked at. In a distributed test each process writes its own images, so ``output_dir`` has to be
    a folder that all share; the first process makes the archive. ``tools/check_submission.py`` says
    what is wrong with the result.

    A folder that has files in it is refused unless ``overwrite`` is set; files of the same names
    are then replaced and others stay, but are not put into the archive. Nothing is ever deleted.

    Args:
        output_dir: Folder for the results. ``tools/test.py --out`` sets it.
        archive: Format of the archive to make in ``output_dir`` at the end; None makes none.
        overwrite: Whether ``output_dir`` may have files in it.
        keep_results: Always True; ``tools/test.py --out`` sets it.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # None would be warned of
    #: Accepted values of ``archive``, besides None.
    archive_formats: tuple[str, ...]
    #: Name of the archive without its ending.
    archive_name: str

    def __init__(
        self,
        *,
        output_dir: str,
        archive: str | None,
        overwrite: bool = False,
        keep_results: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_dir = Path(output_dir)
        self.archive = checks.one_of('archive', archive, (*self.archive_formats, None))
        if dist.is_main_process():
            self.output_dir.mkdir(parents=True, exist_ok=True)
            if not overwrite and any(self.output_dir.iterdir()):
                raise FileExistsError(
                    f'output_dir {output_dir} is not empty. Give another folder, or '
                    'overwrite=True to replace files of the same names in it')
        # None writes before the first has looked.
        dist.barrier()

    @abstractmethod
    def write(self, stem: str, classes: np.ndarray) -> str:
        """Write the PNG of an image.

        Args:
            stem: Name of the image file without its ending.
            classes: Predicted classes, shape ``(H, W)``, at the image's full size.

        Returns:
            Path inside ``output_dir`` and the archive, with forward slashes.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the PNG files of a batch.

        Args:
            data_batch: Not used.
            data_samples: The model's outputs as dicts, with ``img_path``.
        """
        for data_sample in data_samples:
            self.results.append(
                self.write(Path(data_sample['img_path']).stem, label_map(data_sample)))

    def compute_metrics(self, results: list[str]) -> dict[str, float]:
        """Make the archive of what this test wrote.

        Args:
            results: Paths inside ``output_dir`` of all processes.

        Returns:
            Nothing: the server has the ground truth.
        """
        where = f'{len(results)} PNG files are in {self.output_dir}'
        if self.archive is not None and results:
            path = self.output_dir / f'{self.archive_name}.{self.archive}'
            with replacing(path) as temporary:
                self._write_archive(temporary, sorted(set(results)))
            where += f', and in {path} for the server'
        print_log(where, MMLogger.get_current_instance())
        return {}

    def _write_archive(self, path: Path, members: list[str]) -> None:
        if self.archive == 'zip':
            # PNG files are compressed already.
            with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
                for member in members:
                    archive.write(self.output_dir / member, arcname=member)
        else:
            with tarfile.open(path, 'w:gz' if self.archive == 'tar.gz' else 'w') as archive:
                for member in members:
                    archive.add(self.output_dir / member, arcname=member)


@METRICS.register_module()
class VOCSubmission(SubmissionFiles):
    """Writes ``results/VOC2012/Segmentation/<competition>_test_cls/<id>.png`` and a tar of them.

    The PNG files are indexed, with VOC's colours; the indices are the class ids 0 (background) to
    20, at the images' full size. The tar lies in ``output_dir`` and holds the same paths.

    Args:
        competition: ``'comp5'``: trained on VOC's own segmentation data alone; ``'comp6'``: on any
            data but the test set (the backbone's ImageNet weights, SBD and COCO are such).
        archive: ``'tar.gz'``, ``'tar'`` or None.
        **kwargs: Those of :class:`SubmissionFiles`.
    """

    archive_formats = ('tar.gz', 'tar')

    def __init__(
        self, *, competition: str = 'comp6', archive: str | None = 'tar.gz', **kwargs: Any
    ) -> None:
        self.folder = VOC_FOLDERS[checks.one_of('competition', competition, VOC_FOLDERS)]
        self.archive_name = f'VOC2012_{competition}_test_cls'
        super().__init__(archive=archive, **kwargs)

    def write(self, stem: str, classes: np.ndarray) -> str:
        """Write class ids with VOC's palette."""
        member = f'{self.folder}/{stem}.png'
        save_label_png(self.output_dir / member, classes, voc_palette())
        return member


@METRICS.register_module()
class CityscapesSubmission(SubmissionFiles):
    """Writes ``<image's name>.png`` with labelIds, all in one folder, and a zip of them.

    The network predicts trainIds (0..18); the server wants labelIds (7..33), at the images' full
    size, and finds an image's file by its beginning, ``<city>_<sequence>_<frame>``. Unlike mmseg's
    ``CityscapesMetric`` it does not need cityscapesscripts and does not delete its folder.

    Args:
        archive: ``'zip'`` or None.
        **kwargs: Those of :class:`SubmissionFiles`.
    """

    archive_formats = ('zip', )
    archive_name = 'cityscapes_results'

    def __init__(self, *, archive: str | None = 'zip', **kwargs: Any) -> None:
        super().__init__(archive=archive, **kwargs)

    def write(self, stem: str, classes: np.ndarray) -> str:
        """Write labelIds."""
        member = f'{stem}.png'
        save_label_png(self.output_dir / member, np.array(CITYSCAPES_LABEL_IDS)[classes])
        return member
