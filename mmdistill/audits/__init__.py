"""Audits: the quality of the labels of a teacher, measured on labeled images."""

from mmdistill.audits.audited_set import AuditedSet, audited_set
from mmdistill.audits.folds import audit_folds
from mmdistill.audits.run import audit
from mmdistill.audits.worth_run import report_label_worth

__all__ = ['AuditedSet', 'audit', 'audit_folds', 'audited_set', 'report_label_worth']
