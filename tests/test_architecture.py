"""Who may import what: an import names the layer that a file belongs to."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "wandb"}
WEB = {"dash", "dash_ag_grid", "dash_bootstrap_components", "flask", "waitress", "werkzeug"}

# Folder or file -> what it must not import. The longest match counts.
FORBIDDEN = {
    "training/record": MODELS | WEB | {"plotly", "pandas", "numpy", "scipy", "dashboard"},
    "training": WEB | {"plotly", "dashboard"},
    "dashboard/sources": MODELS | WEB | {"plotly", "dashboard.analysis", "dashboard.figures", "dashboard.components"},
    "dashboard/analysis": MODELS | WEB | {"plotly", "dashboard.sources", "dashboard.figures", "dashboard.components"},
    "dashboard/figures": MODELS | WEB | {"dashboard.sources", "dashboard.components", "dashboard.pages"},
    "dashboard/components": MODELS | {"dashboard.pages", "dashboard.app"},
    "dashboard/pages": MODELS | {"dashboard.app"},
    "dashboard": MODELS,
}
MODULES = sorted(path for top in ("training", "dashboard") for path in (ROOT / top).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, with all its parents."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {".".join(parts[: n + 1]) for name in names for parts in [name.split(".")] for n in range(len(parts))}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_layer_may(path):
    place = path.relative_to(ROOT).as_posix()
    layer = max((folder for folder in FORBIDDEN if place.startswith(f"{folder}/")), key=len)
    assert not imported(path) & FORBIDDEN[layer]


@pytest.mark.parametrize("path", sorted((ROOT / "dashboard" / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_pages_do_not_know_each_other(path):
    assert not {name for name in imported(path) if name.startswith("dashboard.pages.")}


def test_a_planted_import_would_be_found(tmp_path):
    file = tmp_path / "planted.py"
    file.write_text("def f():\n    from torch.nn import functional\n")
    assert "torch" in imported(file)


@pytest.mark.parametrize("module", ["training.record.reader", "training.record.writer", "dashboard.app"])
def test_reading_runs_loads_no_torch(module):
    code = f"import sys, {module}; print([n for n in ('torch', 'transformers', 'trl', 'wandb') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_module_is_called_like_the_data_folder():
    assert not [path for path in ROOT.rglob("runs.py") if ".venv" not in path.parts]


def test_package_files_are_empty():
    for path in MODULES:
        if path.name == "__init__.py":
            assert path.read_text().strip() == "", path
