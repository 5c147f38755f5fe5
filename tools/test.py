# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Test a model: the toolbox's own ``tools/test.py``, with LRR, ``--aug-test`` and ``--crf``."""

from mmseg_lrr.apis import toolbox

if __name__ == '__main__':
    toolbox.test()
