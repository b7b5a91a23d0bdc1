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
from dashboard.analysis.references import References, as_trained, references
from dashboard.analysis.study import Study

_RUNS = (outcome, training, overfitting, pairs, data, samples)


def findings(study: Study, at: At, known: References | None = None) -> list[Finding]:
    """The findings of all checks, by severity, those of one severity in the order of the checks.

    Where the log proves another beta than the stated one, that counts: a margin in nats is a reward by it. `known` are
    the study's references, if they are at hand.
    """
    known = known or references(study)
    trained = as_trained(study, known)
    found = [*studies.check(trained, at, known), *identities.check(study, at, known)]
    found += [finding for check in _RUNS for finding in check.check(trained, at)]
    found += parameters.check(trained, at, known)
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
