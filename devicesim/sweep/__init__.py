"""One scenario, many seeds and parameters: sweep finds the run that fails, shrink makes it small."""
