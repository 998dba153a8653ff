"""Where samples come from: one label format or kind of file a module."""
