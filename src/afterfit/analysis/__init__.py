"""What happened in a run, said from its labelled observations alone."""

from . import events

__all__ = ["events"]
