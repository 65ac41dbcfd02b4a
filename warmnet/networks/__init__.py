"""The networks: each file a table and the forward functions that it scales."""
