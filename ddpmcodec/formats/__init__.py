"""Image files of other formats, and the pictures that they hold."""
