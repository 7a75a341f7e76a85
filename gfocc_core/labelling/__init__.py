"""Make weak 2D labels with networks, bring in those of others, look at them and check them.

For training/generate_labels.py; nothing else imports it.
"""
