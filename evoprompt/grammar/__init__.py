"""The program generator: seeds, random programs, edits, and the control arm without a model.

A foundation: it imports the standard library only, and every room may import it.
"""
