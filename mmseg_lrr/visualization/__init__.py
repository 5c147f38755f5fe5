# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures and plots: arrays in, images out. Hooks and metrics draw with it too."""
