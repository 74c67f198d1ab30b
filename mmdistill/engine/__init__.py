"""What runs inside MMEngine's runner: the loop, the hooks, safe loading."""
