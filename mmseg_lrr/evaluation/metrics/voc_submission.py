# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Result files for the PASCAL VOC 2012 segmentation server."""

from typing import Any

from mmseg.registry import METRICS

from mmseg_lrr.evaluation.label_png import voc_palette
from mmseg_lrr.evaluation.metrics.submission import SubmissionFiles
from mmseg_lrr.evaluation.submission_check import VOC_CLASSES, VOC_FOLDERS
from mmseg_lrr.ops import checks


@METRICS.register_module()
class VOCSubmission(SubmissionFiles):
    """Writes ``results/VOC2012/Segmentation/<competition>_test_cls/<id>.png`` and a tar of them.

    The PNG files are indexed, with VOC's colours; the indices are the class ids 0 (background) to
    20, at the images' full size. The tar lies in ``output_dir`` and holds the same paths.

    Args:
        competition: ``'comp5'``: trained on VOC's own segmentation data alone; ``'comp6'``: on any
            data but the test set (the backbone's ImageNet weights, SBD and COCO are such).
        archive: ``'tar.gz'``, ``'tar'`` or None.
        **kwargs: ``output_dir``, ``overwrite``, ``keep_results``, ``collect_device`` and
            ``prefix`` of :class:`SubmissionFiles`.
    """

    num_classes = VOC_CLASSES
    archive_formats = ('tar.gz', 'tar')
    palette = voc_palette()

    def __init__(
        self, *, competition: str = 'comp6', archive: str | None = 'tar.gz', **kwargs: Any
    ) -> None:
        checks.one_of('competition', competition, VOC_FOLDERS)
        self.folder = VOC_FOLDERS[competition]
        self.archive_name = f'VOC2012_{competition}_test_cls'
        super().__init__(archive=archive, **kwargs)

    def member(self, stem: str) -> str:
        """Return ``results/VOC2012/Segmentation/<competition>_test_cls/<stem>.png``."""
        return f'{self.folder}/{stem}.png'
