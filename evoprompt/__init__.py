"""EvoPrompt: neural architecture search over PyTorch source code."""

__version__ = "0.1.0"
