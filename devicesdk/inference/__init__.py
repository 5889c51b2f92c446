"""Running a model on a device: engines, features, result rows, kits and bundle sources."""
