# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The report page, its examples, and the CRF's settings tuned on a data set."""
