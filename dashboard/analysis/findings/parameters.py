"""What must not be concluded about hyper-parameters from these runs, or has not been tried."""

from dashboard.analysis import comparability, seeds
from dashboard.analysis.confounding import LEVEL, STRENGTH, confounded
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import LONGEST_NAME
from dashboard.analysis.hyperparameters import words
from dashboard.analysis.ranking import At
from dashboard.analysis.references import References
from dashboard.analysis.study import Study
from dashboard.analysis.suggestions import EDGE, Field, edges, survey
from training.record.metrics import describe


def check(study: Study, at: At, known: References | None = None) -> list[Finding]:
    """Confounded hyper-parameters, a best run at the edge of what was tried, one seed only: per group.

    `known` are the study's references, if they are at hand.
    """
    found = []
    for group in comparability.accuracy_groups(study, known):
        seen = survey(study, group.runs, at)
        if seen is not None:
            found += [*_confounded(seen), *_edges(seen), *_seeds(seen)]
    return found


def _ids(seen: Field) -> tuple[str, ...]:
    return tuple(run.id for runs in seen.rows.runs for run in runs)


def _confounded(seen: Field) -> list[Finding]:
    return [
        Finding(
            "confounded-hyper-parameters",
            "warning",
            _ids(seen),
            pair.sentence,
            "rank correlation or Cramer's V, permutation test (Kendall and Gibbons 1990; Bergsma 2013), Holm 1979",
            {
                "parameters": [pair.a, pair.b],
                "measure": pair.measure,
                "strength": pair.strength,
                "p": pair.p,
                "configurations": pair.n,
                "aliased": pair.aliased,
                "thresholds": {"p": LEVEL, "strength": STRENGTH},
            },
        )
        for pair in confounded(seen.rows)
    ]


def _edges(seen: Field) -> list[Finding]:
    """Only what is proven over all hyper-parameters: in a healthy grid an end is often best by chance."""
    found = [edge for edge in edges(seen) if edge.effect.proven]
    if not found:
        return []
    ends = [
        f"the {'highest' if edge.upward else 'lowest'} {words(edge.column.key)} (Spearman {edge.effect.strength:+.2f})"
        for edge in found
    ]
    return [
        Finding(
            "best-at-the-edge",
            "info",
            (seen.best.id,),
            f"{seen.best.name[:LONGEST_NAME]} is best by {describe(seen.key).label} and lies at or near "
            f"{' and '.join(ends)} tried; it gets better that way over all {found[0].effect.n} configurations: the "
            "best may lie beyond.",
            "rank correlation with a permutation test (Kendall and Gibbons 1990), Holm 1979",
            {
                "metric": seen.key,
                "parameters": [
                    {"parameter": edge.column.key, "spearman": edge.effect.strength, "p": edge.effect.p_corrected}
                    for edge in found
                ],
                "thresholds": {"p": LEVEL, "edge": EDGE},
            },
        )
    ]


def _seeds(seen: Field) -> list[Finding]:
    if len(seen.rows.runs) < 2 or seeds.tried(seen.rows) > 1:
        return []
    return [
        Finding(
            "one-seed-only",
            "info",
            _ids(seen),
            f"None of the {len(seen.rows.runs)} configurations was run with two seeds: how far two runs of one "
            "configuration differ is unknown, and intervals from evaluation pairs do not include it.",
            "variance between seeds as a second source of error (Bouthillier et al. 2021, arXiv:2103.03098)",
            {"configurations": len(seen.rows.runs), "seeds": seeds.tried(seen.rows), "needed": 2},
        )
    ]
