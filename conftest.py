"""The plugin's own tests run it inside small pytest projects."""

pytest_plugins = ["pytester"]
