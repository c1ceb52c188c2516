"""A project's dashboard at W&B as code: the panels that matter, over images seen.

It is a view that W&B keeps beside those that users make by hand. Panels choose by the names' beginnings, so a run of
any model fills those that it has records for.
"""

from wandb_workspaces.reports.v2 import LinePlot, MediaBrowser
from wandb_workspaces.workspaces import Section, Workspace, WorkspaceSettings

from genlit import models

X = "progress/images"
PICTURES = ("samples", "reconstructions", "translations", "completions", "puzzle", "traversal", "codes", "field")
FIDELITY = {
    "Fréchet distance": "^(fid|fd-)",
    "Kernel distance": "^kid/",
    "Precision and recall": "^(precision|recall)/",
    "Diversity": "^diversity/",
    "Likelihood": "^(log-prob|elbo|iwae-|bits-per-dim)",
}
THROUGHPUT = {
    "Images per second": "^throughput/images_per_second$",
    "Milliseconds per iteration": "^throughput/.*_ms$",
    "Evaluation's share of the time": "^throughput/evaluation_share$",
    "GPU memory, GiB": "^throughput/memory_gib$",
}


def workspace(entity: str, project: str) -> Workspace:
    """The dashboard of a project: losses and gradients of each player, fidelity, pictures, throughput."""
    losses = {player: f"^train/{player}/" for player in _players()}
    sections = [
        Section(name="Pictures", panels=[_pictures(name) for name in PICTURES], is_open=True),
        Section(name="Fidelity", panels=_plots(FIDELITY), is_open=True),
        Section(name="Losses by player", panels=_plots(losses), is_open=True),
        Section(name="Throughput", panels=_plots(THROUGHPUT), is_open=False),
    ]
    return Workspace(
        entity=entity, project=project, name="genlit", sections=sections, settings=WorkspaceSettings(x_axis=X)
    )


def _players() -> list[str]:
    """Every player of any model."""
    kinds = (kind for kind in vars(models).values() if isinstance(kind, type))
    return sorted({player for kind in kinds for player in getattr(kind, "players", {})})


def _plots(patterns: dict[str, str]) -> list[LinePlot]:
    return [LinePlot(title=title, x=X, metric_regex=pattern) for title, pattern in patterns.items()]


def _pictures(name: str) -> MediaBrowser:
    return MediaBrowser(title=name, media_keys=[f"pictures/{name}"], num_columns=1)
