"""Running experiments (`run.run`) and looking at what came of them (`runs.open_runs`, `runs.Runs`).

Nothing is imported here: to read and refuse a request, JAX is not needed.
"""
