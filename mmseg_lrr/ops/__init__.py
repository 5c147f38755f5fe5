# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pure functions over tensors and arrays; nothing here imports the toolbox."""
