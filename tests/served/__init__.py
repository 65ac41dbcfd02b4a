"""The servers of docs/serving.md, started as the page says. They need environments of their own: CONTRIBUTING.md."""
