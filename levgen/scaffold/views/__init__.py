"""What the templates read: an architecture's answers as names, axes and expressions, part by part."""
