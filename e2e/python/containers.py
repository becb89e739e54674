"""Containers by docker-py, as programs use it."""
import io
import socket
import tarfile

own = NAME
c = client.containers.create(IMAGE, ["sh", "-c", "echo out; echo err >&2; cat; exit 3"], name=own + "-a", stdin_open=True,
                             environment={"A": "b"}, labels={"py": own})
assert c.status == "created" and c.attrs["Config"]["Env"] == ["A=b"], c.attrs
s = c.attach_socket(params={"stdin": 1, "stream": 1})
c.start()
s._sock.sendall(b"typed\n")
s._sock.shutdown(socket.SHUT_WR)
assert c.wait()["StatusCode"] == 3
assert c.logs(stdout=True, stderr=False) == b"out\ntyped\n", c.logs()
assert c.logs(stdout=False, stderr=True) == b"err\n"
assert [x.id for x in client.containers.list(all=True, filters={"label": "py=" + own})] == [c.id]
assert client.containers.list(filters={"label": "py=" + own}) == []
c.remove()
try:
    c.reload()
    raise SystemExit("a removed container is still there")
except docker.errors.NotFound:
    pass

assert client.containers.run(IMAGE, "echo hello", remove=True) == b"hello\n"
try:
    client.containers.run(IMAGE, ["sh", "-c", "echo no >&2; exit 7"], remove=True)
    raise SystemExit("no error")
except docker.errors.ContainerError as e:
    assert e.exit_status == 7 and e.stderr == b"no\n", e
try:
    client.containers.run(IMAGE, "no-such-command", remove=True)
    raise SystemExit("no error")
except docker.errors.APIError as e:
    assert "executable file not found" in e.explanation, e

c = client.containers.run(IMAGE, ["sleep", "100"], name=own + "-b", detach=True)
try:
    assert c.status in ("created", "running")
    code, output = c.exec_run(["sh", "-c", "echo one; echo two >&2; exit 4"], demux=True)
    assert (code, output) == (4, (b"one\n", b"two\n")), (code, output)
    code, output = c.exec_run(["sh", "-c", "tty; pwd"], tty=True, workdir="/usr")
    assert b"/dev/pts/" in output and b"/usr" in output, output
    _, stream = c.exec_run("cat /etc/debian_version", stream=True)
    assert b"".join(stream).startswith(b"12"), "stream"
    for _ in range(20):
        assert c.exec_run("printf x").output == b"x", "the first bytes of an exec were lost"

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as t:
        info = tarfile.TarInfo("put")
        info.size = 5
        info.mode = 0o751
        t.addfile(info, io.BytesIO(b"bytes"))
    assert c.put_archive("/tmp", data.getvalue())
    bits, stat = c.get_archive("/tmp/put")
    assert stat["name"] == "put" and stat["size"] == 5 and stat["mode"] == 0o751, stat
    with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as t:
        assert t.extractfile("put").read() == b"bytes"
    assert {"Path": "/tmp/put", "Kind": 1} in c.diff(), c.diff()
    assert b"".join(c.export())[257:262] == b"ustar"

    assert any("sleep" in " ".join(p) for p in c.top()["Processes"])
    assert "memory_stats" in c.stats(stream=False)
    c.pause()
    c.reload()
    assert c.status == "paused"
    c.unpause()
    c.rename(own + "-c")
    c.reload()
    assert c.name == own + "-c"
    c.kill("SIGKILL")
    assert c.wait()["StatusCode"] == 137
    c.start()
    c.stop(timeout=1)
    c.restart(timeout=1)
    c.reload()
    assert c.status == "running"
finally:
    c.remove(force=True, v=True)
