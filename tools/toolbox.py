# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Run any script of the installed toolbox, with LRR registered: ``toolbox.py SCRIPT ...``."""

from mmseg_lrr.apis import toolbox

if __name__ == '__main__':
    toolbox.script()
