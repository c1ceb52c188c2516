"""`genlit dashboard`: the panels that matter, in a project at W&B."""

import wandb

from genlit.errors import GenlitError


def dashboard(project: str, entity: str | None = None) -> None:
    """Makes the project's view `genlit`, and prints its address.

    Args:
        project: W&B's project.
        entity: the user or team that it belongs to; by default the user who is logged in.

    Raises:
        GenlitError: the package that makes views is missing, or W&B cannot be reached.
    """
    try:
        from genlit.logging.workspace import workspace
    except ImportError as error:
        raise GenlitError(f"the dashboard needs wandb-workspaces: pip install 'genlit[workspace]' ({error})") from error
    try:
        wandb.login(prompt=False, verify=False)
        view = workspace(entity or wandb.Api().default_entity, project).save()
    except Exception as error:  # no key, no network, no such project: each raises its own
        reason = str(error).partition("\n")[0]
        raise GenlitError(f"W&B takes no dashboard for {project} ({reason}): log in by `wandb login`") from error
    print(f"the dashboard of {project}: {view.url}")
