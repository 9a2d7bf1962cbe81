"""What Slipway can build: templates, versioned and validated."""
