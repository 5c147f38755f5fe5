# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Local files that are written whole or not at all."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmseg_lrr.replacing import replacing


class WholeFilesBackend(LocalBackend):
    """The toolbox's local backend, writing under a temporary name that is renamed at the end.

    A process that is killed, or a disk that is full, leaves a file of that name as it was.
    ``backend_args=dict(backend='whole_files')`` selects it.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Args:
            obj: What to write.
            filepath: The file to make or replace; its folder is made if it is not there.

        Raises:
            OSError: It could not be written; an earlier file of that name is as it was.
        """
        with replacing(filepath) as temporary, temporary.open('wb') as file:
            file.write(obj)
            file.flush()
            # A file renamed before its content is on the disk is empty after a power cut.
            os.fsync(file.fileno())

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text; see :meth:`put`."""
        self.put(obj.encode(encoding), filepath)


register_backend('whole_files', WholeFilesBackend, force=True)
