"""What the node sends: a prediction to messages, to whoever listens."""
