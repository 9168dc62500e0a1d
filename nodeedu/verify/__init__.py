"""Checks of what others claim: Butcher tableaus, by rooted trees and by measurement."""

from .tableau_audit import Audit, Claim, audit
from .tableau_file import ClaimedTableau, find, read

__all__ = ["Audit", "Claim", "ClaimedTableau", "audit", "find", "read"]
