"""What the demo's commits change, by subsystem. All are harmless, but for those in `story`."""
