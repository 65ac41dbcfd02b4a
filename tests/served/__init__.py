"""The servers of docs/deployment.md, started as the page says. They need environments of their own: CONTRIBUTING.md."""
