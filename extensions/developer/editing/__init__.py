"""One file changed exactly where a model asked, and a good answer where it could not be."""
