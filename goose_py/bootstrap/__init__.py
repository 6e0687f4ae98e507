"""The composition root: the only place that reads the environment, the working folder and the clock, and that names concrete
classes. Everything below is handed what it needs."""
