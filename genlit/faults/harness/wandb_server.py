"""A W&B server on this machine: it speaks what W&B's client sends, and remembers what a user would see.

GraphQL calls are answered by the method that bears the operation's name; a call that none answers is an error there and
in `unknown` here. Records arrive by the file stream, files and artifacts by addresses that this server hands out.
"""

import json
import math
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "me"
KEY = "c" * 40
VARIABLES = {  # the client's long patience, cut short; it takes whole seconds
    "WANDB_API_KEY": KEY,
    "WANDB_ERROR_REPORTING": "false",
    "WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "1",
    "WANDB__FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1",
    "WANDB__FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB__GRAPHQL_RETRY_WAIT_MIN_SECONDS": "1",
    "WANDB__GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB__DISABLE_STATS": "true",
}


@dataclass
class Run:
    """What the dashboard knows of a run."""

    name: str
    project: str
    shown: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    starts: int = 0
    lines: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))  # of each streamed file
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None
    preempting: bool = False
    stop: bool = False  # whether somebody has pressed the button

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The records as they arrived."""
        return [json.loads(line) for _, line in sorted(self.lines["wandb-history.jsonl"].items())]

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records by step, without W&B's own keys; one that comes again, as `wandb sync` sends it, counts once."""
        latest = {row["_step"]: row for row in self.rows}.values()
        return [{key: value for key, value in row.items() if not key.startswith("_")} for row in latest]

    @property
    def scalars(self) -> list[dict[str, Any]]:
        """The records that hold numbers alone."""
        return [row for row in self.history if not any(isinstance(value, dict) for value in row.values())]

    @property
    def summary(self) -> dict[str, Any]:
        """The latest values."""
        lines = self.lines["wandb-summary.json"]
        return json.loads(lines[max(lines)]) if lines else {}


@dataclass
class Artifact:
    """A version of an artifact: its files by name."""

    name: str
    project: str
    kind: str
    version: int
    metadata: dict[str, Any]
    aliases: list[str]
    digest: str
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    committed: bool = False


@dataclass
class Sweep:
    """A sweep, and what its agents are told to run next: each a run's parameters."""

    name: str
    project: str
    config: str
    queue: list[dict[str, Any]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    """The server; `address` is what WANDB_BASE_URL takes."""

    daemon_threads = True

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.runs: dict[str, Run] = {}
        self.artifacts: list[Artifact] = []
        self.sweeps: dict[str, Sweep] = {}
        self.suggestions: list[dict[str, Any]] = []  # what a new sweep tells its agents to run
        self.views: list[dict[str, Any]] = []
        self.unknown: list[str] = []
        self.dies_after: int | None = None  # records of a run, after which nobody is answered
        self.dead = False
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        """Ends for good."""
        self.shutdown()
        self.server_close()

    def only_run(self) -> Run:
        (run,) = self.runs.values()
        return run


class Handler(BaseHTTPRequestHandler):
    """Answers one request; the server's lock is held meanwhile."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.respond(self.stored)

    def do_PUT(self) -> None:
        self.respond(self.keep)

    def do_POST(self) -> None:
        named = {"graphql": self.called, "file_stream": self.streamed}
        self.respond(named.get(self.path.rpartition("/")[2], lambda body: b"{}"))  # else the client's own telemetry

    def respond(self, how: Callable[[bytes], bytes | None]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            if self.server.dead:
                self.close_connection = True
                return
            content = how(body)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    # Files: /storage/run/NAME/FILE, /storage/artifact/NUMBER/manifest, /storage/artifact/NUMBER/file/FILE

    def keep(self, content: bytes) -> bytes:
        _, _, kind, owner, name = self.path.split("/", 4)
        if kind == "run":
            self.server.runs[owner].files[name] = content
        elif name == "manifest":
            self.server.artifacts[int(owner)].manifest = content
        else:
            self.server.artifacts[int(owner)].files[name.removeprefix("file/")] = content
        return b""

    def stored(self, _: bytes) -> bytes | None:
        _, _, _, number, name = self.path.split("/", 4)
        artifact = self.server.artifacts[int(number)]
        return artifact.manifest if name == "manifest" else artifact.files.get(name.removeprefix("file/"))

    def streamed(self, body: bytes) -> bytes:
        run, sent = self.server.runs[self.path.split("/")[4]], json.loads(body)
        for file, chunk in (sent.get("files") or {}).items():
            run.lines[file] |= dict(enumerate(chunk["content"], chunk["offset"]))
        run.preempting |= bool(sent.get("preempting"))
        if sent.get("complete"):
            run.exit_code = sent["exitcode"]
        self.server.dead = len(run.history) >= (self.server.dies_after or math.inf)
        return json.dumps({"exitcode": None, "limits": {}, "stopped": run.stop}).encode()

    # GraphQL

    def called(self, body: bytes) -> bytes:
        call = json.loads(body)
        name = re.search(r"(?:query|mutation)\s+(\w+)", call["query"])[1]
        if not hasattr(self, name):
            self.server.unknown.append(call["query"])
            return json.dumps({"errors": [{"message": f"this server does not know {name}"}], "data": {}}).encode()
        return json.dumps({"data": getattr(self, name)(**(call.get("variables") or {}))}).encode()

    def ServerFeaturesQuery(self) -> dict:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def Viewer(self) -> dict:  # noqa: N802
        return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "teams": {"edges": []}, "flags": "{}"}}

    GetViewer = GetDefaultEntity = Viewer

    def RunResumeStatus(self, name: str, project: str, **_: Any) -> dict:  # noqa: N802
        run, of = self.server.runs.get(name), _project(project)
        return {"model": of | {"bucket": run and _resumable(run)}}

    def UpsertBucket(self, name: str, project: str, config: str | None = None, **more: Any) -> dict:  # noqa: N802
        known = name in self.server.runs
        run = self.server.runs.setdefault(name, Run(name, project, more.get("displayName")))
        run.config |= {key: item["value"] for key, item in json.loads(config or "{}").items()}
        run.tags, run.sweep = more.get("tags") or run.tags, more.get("sweep") or run.sweep
        run.starts += more.get("host") is not None  # the first of a start says where it is
        if more.get("host") is not None:
            run.exit_code, run.stop = None, False
        return {"upsertBucket": {"bucket": _bucket(run), "inserted": not known}}

    def CreateRunFiles(self, run: str, files: list[str], **_: Any) -> dict:  # noqa: N802
        given = [{"name": name, "uploadUrl": f"{self.server.address}/storage/run/{run}/{name}"} for name in files]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": given}}

    # Artifacts

    def ArtifactType(self, project: str, name: str, **_: Any) -> dict:  # noqa: N802
        known = self.version(project, name)
        return {"project": {"artifact": known and {"artifactType": {"name": known.kind}}}}

    def CreateArtifact(self, input: dict[str, Any]) -> dict:  # noqa: N802
        name, project = input["artifactCollectionName"], input["projectName"]
        before = [each for each in self.server.artifacts if (each.name, each.project) == (name, project)]
        aliases = [each["alias"] for each in input["aliases"]]
        for each in before:  # an alias moves to the newest version that has it
            each.aliases = [alias for alias in each.aliases if alias not in aliases]
        metadata = json.loads(input["metadata"] or "{}")
        made = Artifact(name, project, input["artifactTypeName"], len(before), metadata, aliases, input["digest"])
        self.server.artifacts.append(made)
        latest = {"id": str(self.server.artifacts.index(before[-1]))} if before else None
        sequence = {"latestArtifact": latest}
        return {
            "createArtifact": {"artifact": {"id": self.number(made), "state": "PENDING", "artifactSequence": sequence}}
        }

    def CreateArtifactManifest(self, artifactID: str, **_: Any) -> dict:  # noqa: N802, N803
        return {"createArtifactManifest": {"artifactManifest": self.manifest(artifactID)}}

    def UpdateArtifactManifest(self, artifactManifestID: str, **_: Any) -> dict:  # noqa: N802, N803
        return {"updateArtifactManifest": {"artifactManifest": self.manifest(artifactManifestID)}}

    def CreateArtifactFiles(self, input: dict[str, Any]) -> dict:  # noqa: N802
        nodes = [self.file(each["artifactID"], each["name"]) for each in input["artifactFiles"]]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def CommitArtifact(self, artifactID: str) -> dict:  # noqa: N802, N803
        artifact = self.server.artifacts[int(artifactID)]
        artifact.committed = True
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": artifact.digest}}}

    def ArtifactMembershipByName(self, project: str, name: str, **_: Any) -> dict:  # noqa: N802
        artifact = self.version(project, name)
        return {"project": {"artifactCollectionMembership": artifact and self.membership(artifact)}}

    def ArtifactByID(self, id: str, **_: Any) -> dict:  # noqa: N802
        return {"artifact": self.membership(self.server.artifacts[int(id)])["artifact"]}

    def FetchArtifactManifest(self, id: str) -> dict:  # noqa: N802
        address = f"{self.server.address}/storage/artifact/{id}/manifest"
        return {"artifact": {"currentManifest": {"file": {"directUrl": address}}}}

    def GetArtifactMembershipFileUrls(self, project: str, collection: str, alias: str, **_: Any) -> dict:  # noqa: N802
        artifact = self.version(project, f"{collection}:{alias}")
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        place = f"{self.server.address}/storage/artifact/{self.number(artifact)}/file"
        nodes = [{"__typename": "File", "name": name, "directUrl": f"{place}/{name}"} for name in artifact.files]
        files = {"pageInfo": page, "edges": [{"node": node} for node in nodes]}
        membership = {"__typename": "ArtifactSequence", "artifactMembership": {"files": files}}
        return {"project": {"artifactCollection": membership}}

    def membership(self, artifact: Artifact) -> dict[str, Any]:
        number, version, when = self.number(artifact), artifact.version, "2026-01-01T00:00:00Z"
        sequence = {"__typename": "ArtifactSequence", "name": artifact.name, "project": _project(artifact.project)}
        described = {
            "__typename": "Artifact", "id": number, "artifactSequence": sequence, "versionIndex": version,
            "artifactType": {"name": artifact.kind}, "description": None, "metadata": json.dumps(artifact.metadata),
            "ttlDurationSeconds": -2, "ttlIsInherited": False, "tags": [], "historyStep": None, "state": "COMMITTED",
            "size": sum(map(len, artifact.files.values())), "digest": artifact.digest, "commitHash": None,
            "fileCount": len(artifact.files), "createdAt": when, "updatedAt": when, "aliases": [],
        }  # fmt: skip
        aliases = [{"__typename": "ArtifactAlias", "id": alias, "alias": alias} for alias in artifact.aliases]
        of = {"versionIndex": version, "createdAt": when, "artifactCollection": sequence, "aliases": aliases}
        return {"__typename": "ArtifactCollectionMembership", "id": number, "artifact": described} | of

    def version(self, project: str, name: str) -> Artifact | None:
        """The artifact meant by `name:alias`."""
        name, _, alias = name.partition(":")
        of = [each for each in self.server.artifacts if (each.project, each.name) == (project, name)]
        return next((each for each in of if alias in (*each.aliases, f"v{each.version}")), None)

    def number(self, artifact: Artifact) -> str:
        return str(self.server.artifacts.index(artifact))

    def manifest(self, number: str) -> dict[str, Any]:
        address = f"{self.server.address}/storage/artifact/{number}/manifest"
        return {"id": number, "file": {"id": number, "uploadUrl": address, "uploadHeaders": []}}

    def file(self, number: str, name: str) -> dict[str, Any]:
        address = f"{self.server.address}/storage/artifact/{number}/file/{name}"
        sent = {"uploadUrl": address, "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": number}}
        return {"storagePath": name, **sent}

    # Workspaces

    def UpsertView2(self, **view: Any) -> dict:  # noqa: N802
        self.server.views.append(view)
        return {"upsertView": {"view": {"id": "1", "name": view["name"]}, "inserted": True}}

    # Sweeps

    def UpsertSweep(self, projectName: str, config: str, **_: Any) -> dict:  # noqa: N802, N803
        sweep = Sweep(f"sweep{len(self.server.sweeps)}", projectName, config, [*self.server.suggestions])
        self.server.sweeps[sweep.name] = sweep
        made = {"name": sweep.name, "project": _project(projectName)}
        return {"upsertSweep": {"sweep": made, "configValidationWarnings": []}}

    def SweepWithRuns(self, sweep: str, **_: Any) -> dict:  # noqa: N802
        known = self.server.sweeps.get(sweep)
        return {"project": {"sweep": known and {"name": sweep, "config": known.config, "runs": {"edges": []}}}}

    def CreateAgent(self, sweep: str, **_: Any) -> dict:  # noqa: N802
        return {"createAgent": {"agent": {"id": sweep}}}

    def Heartbeat(self, id: str, runState: str, **_: Any) -> dict:  # noqa: N802, N803
        """Gives the agent what it runs next, ends the runs that are to be stopped, and ends it when nothing is left."""
        sweep, running = self.server.sweeps[id], json.loads(runState)
        stopped = [name for name in running if name in self.server.runs and self.server.runs[name].stop]
        commands = [{"type": "stop", "run_id": name} for name in stopped]
        if not running:
            commands = [self.next_of(sweep) if sweep.queue else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": id}, "commands": json.dumps(commands)}}

    def next_of(self, sweep: Sweep) -> dict[str, Any]:
        sweep.runs.append(f"{sweep.name}-{len(sweep.runs)}")
        parameters = {key: {"value": value} for key, value in sweep.queue.pop(0).items()}
        return {"type": "run", "run_id": sweep.runs[-1], "args": parameters, "program": "genlit"}


def _project(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "internalId": "1", "entity": {"id": ENTITY, "name": ENTITY}}


def _bucket(run: Run) -> dict[str, Any]:
    described = {"id": run.name, "name": run.name, "displayName": run.shown, "description": None}
    config = json.dumps({key: {"value": value} for key, value in run.config.items()})
    history = {"config": config, "sweepName": run.sweep, "historyLineCount": len(run.lines["wandb-history.jsonl"])}
    return described | history | {"project": _project(run.project)}


def _resumable(run: Run) -> dict[str, Any]:
    counts = {f"{name}LineCount": len(run.lines[f"wandb-{name}.jsonl"]) for name in ("history", "events")}
    rows = [line for _, line in sorted(run.lines["wandb-history.jsonl"].items())]
    tails = {"historyTail": json.dumps(rows[-1:]), "eventsTail": "[]", "logLineCount": 0}
    more = {
        "summaryMetrics": json.dumps(run.summary),
        "tags": run.tags,
        "notes": None,
        "wandbConfig": json.dumps({"t": run.starts}),
    }
    return _bucket(run) | counts | tails | more
