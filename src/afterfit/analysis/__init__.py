"""What happened in a run, said from its labelled observations alone."""
