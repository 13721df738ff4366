"""What stands behind each command of `evoprompt`; only these and `steps` know all rooms."""
