"""Sources of samples: one label format or kind of file per module."""
