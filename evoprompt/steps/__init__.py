"""The stages of a generation: each joins one room to the ledger and the state.

A step first asks the ledger for its events; only what is missing is done and recorded. So resuming
is the same code as searching.
"""
