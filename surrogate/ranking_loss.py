"""What training on labels makes small: the error of scores, and of their order within a space."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

SHARPNESS = 2.0  # of the logistic loss of a pair, per score


def loss_of(said_B: Tensor, wanted_B: Tensor, spaces_B: Tensor) -> Tensor:
    """Squared error beside the logistic loss of pairs of one space (Burges et al., ICML 2005)."""
    is_pair_BB = (wanted_B[:, None] > wanted_B[None]) & (spaces_B[:, None] == spaces_B[None])
    ahead_BB = said_B[:, None] - said_B[None]
    missing_BB = torch.where(is_pair_BB, softplus(-SHARPNESS * ahead_BB), 0.0)
    return mse_loss(said_B, wanted_B) + missing_BB.sum() / is_pair_BB.sum().clamp(min=1)
