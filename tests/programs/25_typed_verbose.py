# in_shape (1, 40)
"""A compact one-dimensional convolutional network for time-series classification.

The architecture consists of three stages:
    1. A convolutional stem which extracts low-level features.
    2. A stack of residual blocks with progressively larger receptive fields.
    3. A classification head which aggregates features over time.
"""

from typing import List, Tuple

import torch
import torch.nn as nn


class ResidualDilatedBlock(nn.Module):
    """Residual block with a dilated convolution.

    Args:
        channels: Number of input and output channels.
        kernel_size: Size of the convolution kernel (odd).
        dilation: Dilation factor of the convolution.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        assert kernel_size % 2 == 1, "kernel_size must be odd"
        padding: int = dilation * (kernel_size - 1) // 2
        self.convolution = nn.Conv1d(channels, channels, kernel_size, padding=padding, dilation=dilation)
        self.normalization = nn.BatchNorm1d(channels)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block and add the residual connection."""
        residual = x
        x = self.convolution(x)
        x = self.normalization(x)
        x = self.activation(x)
        return x + residual


class Net(nn.Module):
    """The full classification network."""

    def __init__(self, in_shape: Tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        input_channels, _sequence_length = in_shape
        hidden_channels: int = 20
        self.stem = nn.Sequential(
            nn.Conv1d(input_channels, hidden_channels, kernel_size=5, stride=2, padding=2),
            nn.BatchNorm1d(hidden_channels),
            nn.ReLU(),
        )
        dilations: List[int] = [1, 2, 4]
        self.blocks = nn.ModuleList([ResidualDilatedBlock(hidden_channels, 3, d) for d in dilations])
        self.global_pool = nn.AdaptiveAvgPool1d(1)
        self.classifier = nn.Linear(hidden_channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the network.

        Args:
            x: Input tensor of shape (batch_size, channels, length).

        Returns:
            Logits of shape (batch_size, num_classes).
        """
        features = self.stem(x)
        for block in self.blocks:
            features = block(features)
        pooled = self.global_pool(features).squeeze(-1)
        return self.classifier(pooled)
