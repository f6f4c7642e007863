"""Trains members and observes them. See README.md in this folder."""

from afterfit.engine.members import Batch, Member, plan

__all__ = ["Batch", "Member", "plan"]
