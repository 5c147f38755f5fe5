# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Result files for the Cityscapes pixel-level server."""

from typing import Any

import numpy as np
from mmseg.registry import METRICS

from mmseg_lrr.evaluation.metrics.submission import SubmissionFiles
from mmseg_lrr.evaluation.submission_check import CITYSCAPES_LABEL_IDS


@METRICS.register_module()
class CityscapesSubmission(SubmissionFiles):
    """Writes ``<image's name>.png`` with labelIds, all in one folder, and a zip of them.

    The network predicts trainIds (0..18); the server wants labelIds (7..33), at the images' full
    size, and finds an image's file by its beginning, ``<city>_<sequence>_<frame>``.

    Unlike the toolbox's ``CityscapesMetric`` it does not need cityscapesscripts and does not
    delete its folder.

    Args:
        archive: ``'zip'`` or None.
        **kwargs: ``output_dir``, ``overwrite``, ``keep_results``, ``collect_device`` and
            ``prefix`` of :class:`SubmissionFiles`.
    """

    num_classes = len(CITYSCAPES_LABEL_IDS)
    archive_formats = ('zip', )
    archive_name = 'cityscapes_results'

    def __init__(self, *, archive: str | None = 'zip', **kwargs: Any) -> None:
        super().__init__(archive=archive, **kwargs)

    def member(self, stem: str) -> str:
        """Return ``<stem>.png``."""
        return f'{stem}.png'

    def encode(self, classes: np.ndarray) -> np.ndarray:
        """Turn trainIds into labelIds."""
        return np.array(CITYSCAPES_LABEL_IDS, dtype=np.uint8)[classes]
