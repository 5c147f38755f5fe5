# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures, plots and the report page.

``panels`` and ``plots`` turn arrays into pictures and import nothing above ``mmseg_lrr.ops``, so
that hooks and metrics may draw.
"""
