"""The auditor: what is claimed of a Butcher tableau, checked by rooted trees and by measurement."""

from .audit import Audit, Claim, audit
from .file import ClaimedTableau, find, read

__all__ = ["Audit", "Claim", "ClaimedTableau", "audit", "find", "read"]
