"""The quality-diversity archive: the most accurate program of every kind."""

from evoprompt.archive.descriptors import descriptors
from evoprompt.archive.grid import Archive, Elite, Placement, front

__all__ = ["Archive", "Elite", "Placement", "descriptors", "front"]
