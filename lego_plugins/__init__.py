"""Optional parts of lego, written as a stranger would write them: they import only what plugin authors may import."""
