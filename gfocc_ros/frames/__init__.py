"""From camera messages to frames: assembled by stamp, decoded, posed, or dropped for a reason."""
