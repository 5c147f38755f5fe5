# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pure functions over tensors and arrays, and checks of plain values.

Nothing here imports the toolbox, or another part of the package.
"""
