"""The running service is cosigned and stamped from outside, and a package carries it; with nobody there all goes on."""

import asyncio
import subprocess
import sys
import tarfile
from contextlib import AsyncExitStack
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recording import note, package
from sos.app import Service, running
from sos.clock import SystemClock
from sos.incident.model import State
from sos.settings import AuditorSettings, Settings, StampSettings, TenantSettings, WitnessSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port
from tests.recording.authority import Authority
from tests.sos.anchors.outside import WitnessTwin, at, stamping

ROOT = Path(__file__).resolve().parents[3]
KEY = "key of anybody"
WITNESS = note.Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32))


def settings_for(directory: Path, *, tsa: str, root: Path, witness: str) -> Settings:
    digest = sha256(KEY.encode()).hexdigest()
    return Settings(
        data_dir=str(directory),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.example", key_digests=(digest,)),),
        auditors=(AuditorSettings(id="auditor", token_digest=digest, brands=("acme",), categories=("LOC",)),),
        stamps=StampSettings(url=tsa, ca_file=str(root), within_s=1.0),
        witnesses=(WitnessSettings(url=witness, vkey=WITNESS.witness.vkey),),
    )


async def exported(service: Service, to: Path) -> Path:
    """A crash, and its package as the auditor gets it."""
    report = crash(Car(), at=SystemClock().now(), seed=1)
    await report_once(report, base_url=service.url, key=KEY, clock=SystemClock())
    _, [incident] = await service.journal.queue(limit=1, states=tuple(State))
    wanted = {"incident": incident.id, "purpose": "inquiry", "categories": ["LOC"]}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        ClientSession(service.url) as session,
        session.post("/v1/exports", json=wanted, headers=headers) as answer,
    ):
        assert answer.status == 200
        with tarfile.open(fileobj=BytesIO(await answer.read())) as packed:
            packed.extractall(to)  # our own
    return to


async def verified(service: Service, made: Path, *arguments: str) -> tuple[int, str]:
    keys = ["--log-key", service.log_vkey, "--seal-key", service.seal_vkey, *arguments]
    command = [sys.executable, "-m", "sos", "verify", str(made), *keys]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


async def proved(service: Service, directory: Path) -> None:
    """One event as two files, by the command beside the running service, under a checkpoint that is cosigned."""
    _, [incident] = await service.journal.queue(limit=1, states=tuple(State))
    (directory / "proof").mkdir()
    (directory / "sos.toml").write_text(f'data_dir = "{directory / "house"}"\n')
    ask = ["proof", f"{incident.id}/1", str(directory / "proof"), "--config", str(directory / "sos.toml")]
    made = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "sos", *ask], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr

    check = [sys.executable, "-m", "recording.verify", made.stdout.strip(), "--log-vkey", service.log_vkey]
    check += ["--witness-vkey", WITNESS.witness.vkey]
    done = await asyncio.to_thread(subprocess.run, check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, f"cosigned by {WITNESS.name}" in done.stdout) == (0, True), done.stdout
    [entry] = (directory / "proof").glob("*.entry")
    assert b'"kind":"IncidentOpened"' in entry.read_bytes()


async def ready(service: Service) -> dict[str, str]:
    async with ClientSession(service.url) as session, session.get("/readyz") as answer:
        found: dict[str, str] = (await answer.json())["anchors"]
        return found


async def test_a_package_carries_cosignature_and_stamp_and_both_can_be_asked_for(tmp_path: Path):
    authority = Authority(tmp_path / "tsa")
    twin = WitnessTwin(WITNESS, note.Verifier("none", bytes(32)), SystemClock().now)
    async with AsyncExitStack() as stack:
        tsa = await stack.enter_async_context(at("/tsa", stamping(authority)))
        witness = await stack.enter_async_context(at("/add-checkpoint", twin.answer))
        settings = settings_for(tmp_path / "house", tsa=f"{tsa}/tsa", root=authority.root, witness=witness)
        service = await stack.enter_async_context(running(settings))
        twin.log = note.Verifier.parse(service.log_vkey)
        made = await exported(service, tmp_path / "package")

        code, told = await verified(
            service, made, "--witness-key", WITNESS.witness.vkey, "--tsa-ca", str(authority.root)
        )
        assert (code, "1 cosignatures asked for and found" in told) == (0, True), told
        assert "the checkpoint was there at" in told
        assert await ready(service) == {"stamp": "ok", "witness": "ok"}
        await proved(service, tmp_path)

    command = ["openssl", "ts", "-verify", "-data", package.CHECKPOINT, "-in", package.STAMP, "-CAfile", authority.root]
    judged = await asyncio.to_thread(subprocess.run, command, cwd=made, capture_output=True, check=False)
    assert judged.returncode == 0
    kept = [path.read_bytes() for path in (tmp_path / "house/anchors").glob("*.tsr")]
    assert (made / package.STAMP).read_bytes() in kept


async def test_with_nobody_outside_a_crash_is_taken_and_its_package_says_what_is_missing(tmp_path: Path):
    authority, nobody = Authority(tmp_path / "tsa"), f"http://127.0.0.1:{free_port()}"
    settings = settings_for(tmp_path / "house", tsa=nobody, root=authority.root, witness=nobody)
    async with running(settings) as service:
        made = await exported(service, tmp_path / "package")

        assert (await verified(service, made))[0] == 0
        witness, told = await verified(service, made, "--witness-key", WITNESS.witness.vkey)
        stamp, wanted = await verified(service, made, "--tsa-ca", str(authority.root))
        assert set(await ready(service)) == {"stamp", "witness"}

    assert (witness, f"is not signed by {WITNESS.name}" in told) == (1, True)
    assert (stamp, "is missing, and a time stamp was asked for" in wanted) == (1, True)
