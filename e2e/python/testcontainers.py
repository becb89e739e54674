"""A generic container by testcontainers, without its reaper: that one is an image of a registry."""
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

with DockerContainer(IMAGE).with_command("sh -c 'echo getting ready; sleep 0.2; echo ready now; sleep 100'") \
        .with_env("A", "b").with_name(NAME + "-t") as c:
    wait_for_logs(c, "ready now", timeout=20)
    code, output = c.exec(["sh", "-c", "echo $A"])
    assert (code, output) == (0, b"b\n"), (code, output)
    out, err = c.get_logs()
    assert out == b"getting ready\nready now\n" and err == b"", (out, err)
    wrapped = c.get_wrapped_container()
    assert wrapped.labels["org.testcontainers"] == "true", wrapped.labels
try:
    wrapped.reload()
    raise SystemExit("the container is still there")
except docker.errors.NotFound:
    pass
