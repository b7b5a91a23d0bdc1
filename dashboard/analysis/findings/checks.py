"""All that is to be known of some runs: every check, the gravest finding first."""

from dashboard.analysis.findings import (
    data,
    identities,
    outcome,
    overfitting,
    pairs,
    parameters,
    samples,
    studies,
    training,
)
from dashboard.analysis.findings.finding import SEVERITIES, Finding
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Study

_CHECKS = (studies, identities, outcome, training, overfitting, pairs, data, samples, parameters)


def findings(study: Study, at: At) -> list[Finding]:
    """The findings of all checks, by severity, those of one severity in the order of the checks."""
    found = [finding for check in _CHECKS for finding in check.check(study, at)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
