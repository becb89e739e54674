"""Images, volumes and events by docker-py."""
import io
import json
import tarfile
import time

own = NAME
begin = time.time()
data = io.BytesIO()
with tarfile.open(fileobj=data, mode="w") as t:
    info = tarfile.TarInfo("f")
    info.size = 4
    t.addfile(info, io.BytesIO(b"file"))
answer = client.api.import_image_from_data(data.getvalue(), repository=own, tag="1", changes=["LABEL py=" + own, 'CMD ["x"]'])
assert json.loads(answer.splitlines()[-1])["status"].startswith("sha256:"), answer
image = client.images.get(own + ":1")
assert image.tags == [own + ":1"] and image.labels == {"py": own} and image.short_id == image.id[:19], image.attrs
assert image.tag(own, "2") and sorted(client.images.get(image.id).tags) == [own + ":1", own + ":2"]
assert [i.id for i in client.images.list(filters={"label": "py=" + own})] == [image.id]
assert [i.id for i in client.images.list(name=own)] == [image.id]
assert image.history()[0]["Size"] == 4, image.history()

saved = b"".join(image.save(named=own + ":1"))
client.images.remove(own + ":1")
client.images.remove(own + ":2")
try:
    client.images.get(own + ":1")
    raise SystemExit("a removed image is still there")
except docker.errors.ImageNotFound as e:
    assert "No such image: " + own + ":1" in e.explanation, e
(loaded,) = client.images.load(saved)
assert loaded.id == image.id and loaded.tags == [own + ":1"], loaded.attrs
client.images.remove(own + ":1")
nameless = b"".join(client.api.get_image(client.images.load(saved)[0].id))
client.images.remove(own + ":1")
(loaded,) = client.images.load(nameless)
assert loaded.id == image.id and loaded.tags == [], loaded.attrs
client.images.remove(image.id)
try:
    client.images.load(b"no archive")
    raise SystemExit("no error")
except docker.errors.ImageLoadError as e:
    pass

c = client.containers.create(IMAGE, ["touch", "/committed"], name=own + "-c")
c.start()
c.wait()
made = c.commit(repository=own, tag="made", message="by py", author="py", changes='ENV A=1\nCMD ["ls", "/committed"]',
                conf={"Labels": {"py": own}})
assert made.attrs["Author"] == "py" and made.attrs["Comment"] == "by py" and made.labels == {"py": own}, made.attrs
assert made.attrs["Config"]["Env"] == ["A=1"], made.attrs
assert client.containers.run(made, remove=True) == b"/committed\n"
c.remove()
pruned = client.images.prune(filters={"dangling": False, "label": "py=" + own})
assert {"Untagged": own + ":made"} in pruned["ImagesDeleted"], pruned
assert client.images.prune(filters={"label": "no=" + own}) == {"ImagesDeleted": None, "SpaceReclaimed": 0}

v = client.volumes.create(own, labels={"py": own})
assert v.attrs["Driver"] == "local" and client.volumes.get(own).id == own
out = client.containers.run(IMAGE, ["sh", "-c", "echo kept > /v/f; cat /v/f"], volumes={own: {"bind": "/v", "mode": "rw"}}, remove=True)
assert out == b"kept\n"
assert [x.id for x in client.volumes.list(filters={"label": "py=" + own})] == [own]
v.remove()

seen = [e["Action"] for e in client.events(since=int(begin), until=int(time.time()) + 1, decode=True,
                                           filters={"type": "image", "image": image.id})]
assert "import" in seen and "tag" in seen and "load" in seen and "delete" in seen, seen
assert client.df()["LayersSize"] > 0 and client.ping() and client.version()["ApiVersion"] == "1.51"
assert client.info()["OSType"] == "linux"
