"""Muon: descent along the orthogonalised momentum, for the built-in model's matrices.

In: matrices with gradients. Out: changed matrices. Keller Jordan 2024
(kellerjordan.github.io/posts/muon), scaled as in Liu et al. 2025 (arXiv 2502.16982, section 2.2)
so that AdamW's learning rates fit.
Not promised: more than `torch.optim.Muon`, which computes in bfloat16 everywhere and is 40 times
slower on processors without bfloat16 instructions.
"""

import torch
from torch import Tensor

# bf16 is four times as fast on processors that have it (AVX512-BF16, AMX), else 20 times slower.
HAS_BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values of about 1, by five quintic Newton-Schulz steps."""
    a, b, c = _COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    if HAS_BFLOAT16 or x.is_cuda:
        x = x.to(torch.bfloat16)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.to(matrix.dtype)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay."""

    def __init__(self, matrices, lr: float, momentum: float = 0.95, weight_decay: float = 0.05):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                momentum = state.setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalised(matrix.grad.lerp(momentum, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)
