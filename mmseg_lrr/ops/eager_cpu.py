# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Whether operations run eagerly on a CPU."""

import torch
from torch import Tensor

# Before torch 2.3 nothing says so: what is compiled there sees the code of a GPU or CPU.
is_compiling = getattr(getattr(torch, 'compiler', None), 'is_compiling', lambda: False)


def on_eager_cpu(x: Tensor) -> bool:
    """Whether a CPU computes at once what is called for ``x``.

    A GPU would wait for many small launches; compilers, exporters and tracing write down every
    call, and order the work themselves.
    """
    return (x.device.type == 'cpu' and not is_compiling()
            and not torch.onnx.is_in_onnx_export() and not torch.jit.is_tracing())
