"""Pure tensor and array functions: no registry, no files, no host library."""
