"""Pictures a person can judge at a glance."""
