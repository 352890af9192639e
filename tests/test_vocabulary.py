"""No retired name is left in code or docs: the names are those of the field (CONTRIBUTING.md).

The patterns match identifiers, and words without another sense in this project. Words that are also
ordinary English (place, kind, watch, run, line, turns, house, stands, lent, told, filling, bring,
come, go, home, stays, Transport, Evaluation, Accepted, draw) cannot be refused: review them by eye.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".md", ".js", ".mjs", ".html", ".css", ".toml", ".yml", ".yaml", ".sh", ".http"}
NAMES = ("Makefile", "Dockerfile", ".env.example")
"""Beginnings of the names of further files that are read."""
EXEMPT = {"tests/test_vocabulary.py", "CHANGELOG.md"}
NOT_PROJECT = {".git", ".venv", "node_modules", "data", ".training", "build", "dist"}

# name → its replacement. Matched as a whole word, case-sensitively.
RETIRED = {
    "Apprentice": "UpscalerTrainer, or a replica",
    "Artist": "ImageGenerator",
    "Company": "StepBatcher",
    "Courier": "WebhookSender",
    "Departure": "GracefulShutdown",
    "Desk": "JobService",
    "Encodings": "TextEncodingCache",
    "EngineRoom": "EngineProvider",
    "Enlarger": "UpscaleStep",
    "Examiner": "Evaluator",
    "Luggage": "OffloadCache",
    "Mailbox": "LatestValue",
    "Moment": "Event",
    "Packed": "OffloadPlan",
    "Parcel": "PinnedBuffer",
    "Pen": "write_with_retry",
    "Projections": "LatentPreview",
    "ReadyCopies": "WeightCache",
    "Revival": "Restarter",
    "Shelf": "ModelCache",
    "Stamp": "FileSignature",
    "Studio": "execute_job",
    "Ticker": "PeriodicThread",
    "Wish": "EvalPrompt",
    "Workshop": "TrainingSetup, or BenchmarkOptions",
    "_Guest": "PendingCall",
    "_Told": "_WithReporting",
    "_Untold": "_WithoutReporting",
    "artist": "image generator",
    "at_hand": "resident",
    "courier": "webhook sender",
    "disown": "delete orphans",
    "doubtful": "suspect, or unverified",
    "enlarger": "upscale step",
    "examiner": "metrics",
    "frugal": "low_memory",
    "heed": "apply",
    "laid_out": "apply_memory_plan",
    "leash": "parent_death_signal",
    "leashed": "with a parent death signal",
    "luggage": "offload cache",
    "mailbox": "latest value",
    "obituary": "exit_message",
    "on_call": "offloaded",
    "parcel": "pinned buffer",
    "parcels": "pinned buffers",
    "rested": "idle",
    "shelf": "model cache",
    "spellings": "alternative_keys",
    "strays": "orphans",
    "studio": "job execution",
    "ticker": "periodic thread",
    "tickers": "periodic threads",
    "twin": "clone_sharing_weights",
    "unleashed": "without a parent death signal",
    "unwell": "on_device_failure",
    "wishes": "eval_prompts",
}

# regular expression → replacement, for words with an ordinary sense as well.
PATTERNS = {
    r"\bclass Guest\b|\bGuest\(": "OffloadedModule",
    r"\bclass Hold\b|\bimport Hold\b|\bHold\.[A-Z]": "ClaimStatus",
    r"\bclass Reading\b|\bReading\(": "JobFactory",
    r"\bclass Remains\b|\bRemains\(": "FileCleanup",
    r"\bclass Running\b|\bRunning\(": "ActiveJob",
    r"\bclass Wanted\b|\bWanted\(": "ModelKey",
    r"\bdef weigh\b|\bweigh\(": "estimate_bytes",
    r"\bdef relieve\b|\brelieve\(": "free_and_probe",
    r"\bdef glance\b|\bglance\(": "quick_eval",
    r"\bjobs[./]line\b": "jobs.records.fair_queue",
    r"\bbenchmarks[./]rig\b": "benchmarks.fixtures",
    r"\blauncher[./](leash|place|revival)\b": "parent_death_signal, preflight, restarter",
    r"\bsd_client[./](offers|following|refusals)\b": "capabilities, watch, http_errors",
    r"\btraining[./](wishes|glance|examiner|examinations|student|translation)\b": "eval_prompts, "
    "quick_eval, metrics, eval_tasks, denoiser_trainer, text_distillation",
    r"\bweights[./](kinds|spellings|places)\b": "the families",
    r"\b(its|in|their) company\b": "the batch",
    r"\bat hand\b": "resident, loaded or available",
    r"\bwoken for nothing\b": "no job to claim",
    r"\b[Ww]hoever\b": "the process, the caller, ...",
    r"\b(am|is|are|was|were|be|been|being) (not )?told\b": "log, report, serialise or warn",
}

# A setting's old name may be in the deprecation table, its tests, and the pages that list it.
SETTINGS = {
    r"\bANNOUNCE_SECONDS\b": "HEARTBEAT_INTERVAL",
    r"\bCOPIES_SIZE\b": "WEIGHT_CACHE_BYTES",
    r"\bOPTIMIZED_WEIGHTS\b": "UNET_VRAM_BUDGET",
    r"\bREMEMBERED_SECONDS\b": "TOMBSTONE_TTL",
    r"\bSTRAY_SECONDS\b": "ORPHAN_GRACE",
    r"\bSYNCHRONOUS_SECONDS\b": "SYNC_TIMEOUT",
    r"\bWAKE_SECONDS\b": "RESEND_AFTER",
    r"\bannounce_seconds\b": "heartbeat_interval",
    r"\bcopies_size\b": "weight_cache_bytes",
    r"\boptimized_weights\b": "unet_vram_budget",
    r"\bremembered_seconds\b": "tombstone_ttl",
    r"\bstray_seconds\b": "orphan_grace",
    r"\bsynchronous_seconds\b": "sync_timeout",
    r"\bwake_seconds\b": "resend_after",
    # api/page_files.py has a constant TYPES
    r"(?:^#? *|[\"'`])TYPES(?:[\"'`]|[=:] *(?:standard|optimized))|\bname: TYPES\b": "JOB_TYPES",
}
DEPRECATED_IN = {"jobs/environment.py", "tests/jobs/test_environment.py", "docs/operations.md"}

_NAMES = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, RETIRED))})(?!\w)")
_PATTERNS = [(re.compile(pattern), name) for pattern, name in PATTERNS.items()]
_SETTINGS = [(re.compile(pattern, re.MULTILINE), name) for pattern, name in SETTINGS.items()]


def project_files() -> list[str]:
    """Paths of all files that are read: those that git tracks, or without git all below ROOT."""
    git = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if git.returncode == 0 and git.stdout:
        paths = [path for path in git.stdout.split("\0") if (ROOT / path).is_file()]
    else:
        paths = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file() and not NOT_PROJECT.intersection(path.relative_to(ROOT).parts)
        ]
    return [path for path in paths if path not in EXEMPT and _is_read(Path(path))]


def _is_read(path: Path) -> bool:
    return path.suffix in SUFFIXES or path.name.startswith(NAMES)


def folder_of(path: str) -> str:
    """The top folder of a file, or `tests/...`; `.` for files in the root."""
    folders = path.split("/")[:-1]
    return "/".join(folders[: 2 if folders[:1] == ["tests"] else 1]) or "."


def retired_words(text: str, *, settings: bool = True) -> Iterator[tuple[int, str, str]]:
    """Line number, retired word and replacement of each retired word in a text."""
    found = [(match, RETIRED[match[0]]) for match in _NAMES.finditer(text)]
    for pattern, name in [*_PATTERNS, *(_SETTINGS if settings else [])]:
        found += [(match, name) for match in pattern.finditer(text)]
    for match, name in sorted(found, key=lambda pair: pair[0].start()):
        yield text.count("\n", 0, match.start()) + 1, match[0], name


@pytest.mark.parametrize("folder", sorted({folder_of(path) for path in project_files()}))
def test_no_retired_word_is_left(folder: str) -> None:
    left = [
        f"{path}:{line}: {word!r} is retired; use {name}"
        for path in project_files()
        if folder_of(path) == folder
        for line, word, name in retired_words(
            (ROOT / path).read_text(encoding="utf-8"), settings=path not in DEPRECATED_IN
        )
    ]

    assert not left, "\n" + "\n".join(left)


@pytest.mark.parametrize(
    "text",
    [
        "from api.desk import Desk",
        "shelf = Shelf(catalogue)",
        "self._tickers = Ticker()\nticker.start()",
        "the last bits depend on its company",
        "have the model at hand",
        "A client is told that the job failed.",
        "# WAKE_SECONDS=10.0",
        "# TYPES=standard,optimized",
        "      TYPES: optimized",
        "- {name: TYPES, value: optimized}",
        '"TYPES": request["type"],',
        "settings.remembered_seconds",
        "from sd_client.offers import Model",
        "weigh(model)",
    ],
)
def test_retired_words_are_found(text: str) -> None:
    assert list(retired_words(text))


@pytest.mark.parametrize(
    "text",
    [
        "TYPES = {'.js': 'text/javascript'}",
        "JOB_TYPES: standard,optimized",
        "STRAY_SECONDS_BEFORE",
        "Running jobs are handed back. Hold the lock. Reading takes 3 s.",
        "the weight of a token; opening a file; a stamped file; written by hand",
        "the copyright holder, a company",
        "the test told the server to stop",
        "from datetime import timestamp",
    ],
)
def test_ordinary_words_are_not_found(text: str) -> None:
    assert not list(retired_words(text))
