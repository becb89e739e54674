//! What a container changed: `docker diff`, `docker commit`, `docker export`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::tarball::{Tarball, tree};

pub(super) const TESTS: &[Test] = tests!("commit", 60;
    diff_is_exact, commit_adds_a_layer, commit_with_changes, commit_running, commit_nothing, commit_of_a_commit, export_and_import,
);

/// Changes of every kind, of a container that has ended.
const CHANGES: &str = "echo hi > /new; rm /etc/issue; mkdir -p /opt/x; echo y > /opt/x/y; chmod 700 /srv; \
    rm -rf /var/opt /var/local; mkdir /var/opt; echo in > /var/opt/in; ln -s /new /link; ln /new /new2; \
    echo more >> /etc/motd; mv /etc/debian_version /etc/moved; chown 7:8 /opt/x/y; mkfifo /fifo; touch /tmp/a; rm /tmp/a";

fn inspect(cx: &Cx, image: &str) -> Result<Value> {
    let list: Value = serde_json::from_str(&cx.docker(&["image", "inspect", image])?.good()?)?;
    list.get(0).cloned().context("an empty list")
}

fn changed(cx: &Cx) -> Result<String> {
    let name = cx.own("c");
    cx.docker(&["run", "--name", &name, BASE, "sh", "-c", CHANGES])?.good()?;
    Ok(name)
}

fn diff_is_exact(cx: &Cx) -> Result<()> {
    let name = changed(cx)?;
    let out = cx.docker(&["diff", &name])?.good()?;
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_by_key(|l| &l[2..]);
    let want = [
        "C /etc",
        "D /etc/debian_version",
        "D /etc/issue",
        "C /etc/motd",
        "A /etc/moved",
        "A /fifo",
        "A /link",
        "A /new",
        "A /new2",
        "C /opt",
        "A /opt/x",
        "A /opt/x/y",
        "C /srv",
        "C /tmp",
        "C /var",
        "D /var/local",
        "C /var/opt",
        "A /var/opt/in",
    ];
    ensure!(lines == want, "{lines:#?}");
    // What is mounted is no change, and neither are the files that every container is given.
    let volume = cx.own("v");
    cx.docker(&["create", "--name", &volume, "-v", "/data", BASE, "x"])?.good()?;
    cx.docker(&["cp", "-", &format!("{volume}:/data")])?;
    let other = cx.own("quiet");
    cx.docker(&[
        "run",
        "--name",
        &other,
        "-v",
        "/data",
        BASE,
        "sh",
        "-c",
        "echo x > /data/f; echo y > /etc/hostname",
    ])?
    .good()?;
    let out = cx.docker(&["diff", &other])?.good()?;
    ensure!(out.lines().all(|l| l == "A /data"), "{out}");
    Ok(())
}

fn commit_adds_a_layer(cx: &Cx) -> Result<()> {
    let (name, image) = (changed(cx)?, cx.own("i:1"));
    let id = cx.docker(&["commit", "-m", "a message", "-a", "Some Body <a@b>", &name, &image])?.good()?;
    let (new, base) = (inspect(cx, &image)?, inspect(cx, BASE)?);
    ensure!(new["Id"] == id.as_str() && new["Parent"] == base["Id"], "{new}");
    ensure!(new["Author"] == "Some Body <a@b>" && new["Comment"] == "a message", "{new}");
    let layers = |v: &Value| v["RootFS"]["Layers"].as_array().cloned().unwrap_or_default();
    ensure!(layers(&new).len() == layers(&base).len() + 1 && layers(&new)[0] == layers(&base)[0], "{new}");
    ensure!(new["Config"]["Cmd"] == json!(["sh", "-c", CHANGES]), "{new}");
    // 3 bytes of /new, 2 of /opt/x/y, 3 of /var/opt/in, and the files that were changed or moved.
    let moved = cx.sh(BASE, "cat /etc/motd /etc/debian_version | wc -c")?.good()?.parse::<i64>()? + 5;
    let grown = new["Size"].as_i64().unwrap_or(0) - base["Size"].as_i64().unwrap_or(0);
    ensure!(grown == 3 + 2 + 3 + moved, "the layer has {grown} bytes instead of {}", 8 + moved);
    let history = cx
        .docker(&["history", "--no-trunc", "--format", "{{.ID}}|{{.Size}}|{{.Comment}}", &image])?
        .good()?;
    let first = history.lines().next().unwrap_or_default();
    ensure!(first.starts_with(&id) && first.ends_with("|a message"), "{history}");
    let second = history.lines().nth(1).unwrap_or_default();
    ensure!(second.starts_with(base["Id"].as_str().unwrap_or("-")), "the parent is known: {history}");
    let check = "cat /new; test -e /etc/issue && echo issue; stat -c '%u:%g' /opt/x/y; stat -c %a /srv; ls /var/opt; \
        test -e /var/local && echo local; readlink /link; stat -c %h /new2; tail -1 /etc/motd; cat /etc/moved | wc -l; \
        stat -c %F /fifo; test -e /etc/debian_version && echo version; echo end";
    cx.sh(&image, check)?.prints("hi\n7:8\n700\nin\n/new\n2\nmore\n1\nfifo\nend")?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn commit_with_changes(cx: &Cx) -> Result<()> {
    let (name, image) = (cx.own("c"), cx.own("i:1"));
    cx.docker(&["create", "--name", &name, "-e", "OLD=1", "-l", "a=b", "-u", "5", BASE, "sh", "-c", "x"])?
        .good()?;
    let changes = [
        "ENTRYPOINT [\"sh\", \"-c\"]",
        "CMD [\"echo $NEW\"]",
        "ENV NEW=2 OTHER=\"three four\"",
        "EXPOSE 80 53/udp",
        "LABEL c=d",
        "ONBUILD RUN true",
        "USER 7:8",
        "VOLUME /data",
        "WORKDIR /srv",
        "HEALTHCHECK --interval=30s CMD true",
        "STOPSIGNAL SIGINT",
        "SHELL [\"/bin/bash\", \"-c\"]",
    ];
    let mut args = vec!["commit"];
    for change in &changes {
        args.extend(["-c", *change]);
    }
    args.extend([name.as_str(), image.as_str()]);
    cx.docker(&args)?.good()?;
    let config = inspect(cx, &image)?["Config"].clone();
    let want = json!({
        "Cmd": ["echo $NEW"], "Entrypoint": ["sh", "-c"], "Env": ["OLD=1", "NEW=2", "OTHER=three four"],
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}}, "Labels": {"a": "b", "c": "d"}, "OnBuild": ["RUN true"],
        "User": "7:8", "Volumes": {"/data": {}}, "WorkingDir": "/srv", "StopSignal": "SIGINT",
        "Healthcheck": {"Interval": 30_000_000_000i64, "Test": ["CMD-SHELL", "true"]}, "Shell": ["/bin/bash", "-c"],
    });
    ensure!(config == want, "{config:#}");
    cx.docker(&["run", "--rm", &image])?.prints("2")?;
    cx.docker(&["rmi", &image])?.good()?;
    for (bad, why) in [("RUN ls", "not a valid change command"), ("EXPOSE x", "EXPOSE"), ("ENV", "ENV")] {
        cx.docker(&["commit", "-c", bad, &name, &image])?.fails(1, why)?;
    }
    cx.docker(&["commit", &name, "UPPER:1"])?.fails(1, "must be lowercase")?;
    cx.docker(&["commit", &cx.own("nosuch"), "x:1"])?.fails(1, "No such container")
}

fn commit_running(cx: &Cx) -> Result<()> {
    let (name, image) = (cx.own("c"), cx.own("i:1"));
    cx.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        BASE,
        "sh",
        "-c",
        "while :; do echo x >> /log; sleep 0.01; done",
    ])?
    .good()?;
    cx.until("the log is there", || Ok(cx.docker(&["exec", &name, "test", "-s", "/log"])?.code == 0))?;
    let first = cx.docker(&["commit", &name, &image])?.good()?;
    cx.docker(&["inspect", "-f", "{{.State.Status}}", &name])?.prints("running")?;
    cx.docker(&["commit", "--pause=false", &name, &image])?.good()?;
    let filter = format!("container={name}");
    // Whole seconds are all that the client sends.
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 1;
    let args = ["events", "--since", "1m", "--until", &until.to_string(), "--filter", &filter];
    let events = cx.docker(&[&args[..], &["--format", "{{.Action}}"]].concat())?.good()?;
    let of_interest: Vec<&str> =
        events.lines().filter(|l| ["pause", "unpause", "commit"].contains(l)).collect();
    ensure!(of_interest == ["pause", "unpause", "commit", "commit"], "{events}");
    ensure!(cx.run(&image, &["cat", "/log"])?.good()?.starts_with('x'));
    cx.docker(&["rm", "-f", &name])?.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    cx.docker(&["rmi", &first])?.good()?;
    Ok(())
}

fn commit_nothing(cx: &Cx) -> Result<()> {
    let (name, image) = (cx.own("c"), cx.own("i:1"));
    cx.docker(&["create", "--name", &name, BASE, "true"])?.good()?;
    cx.docker(&["commit", &name, &image])?.good()?;
    let (new, base) = (inspect(cx, &image)?, inspect(cx, BASE)?);
    ensure!(new["RootFS"] == base["RootFS"] && new["Size"] == base["Size"], "{new}");
    cx.docker(&["rmi", &image])?.good()?;
    // Without a name it is dangling, until it is removed by its id.
    let id = cx.docker(&["commit", &name])?.good()?;
    cx.docker(&["inspect", "-f", "{{.RepoTags}}", &id])?.prints("[]")?;
    cx.docker(&["rmi", &id])?.prints(&format!("Deleted: {id}"))
}

fn commit_of_a_commit(cx: &Cx) -> Result<()> {
    let (one, two) = (cx.own("one:1"), cx.own("two:1"));
    let step = |from: &str, script: &str, to: &str| -> Result<()> {
        let name = cx.own("step");
        cx.docker(&["run", "--name", &name, from, "sh", "-c", script])?.good()?;
        cx.docker(&["commit", &name, to])?.good()?;
        cx.docker(&["rm", &name])?.good()?;
        Ok(())
    };
    step(BASE, "mkdir /d; echo 1 > /d/one; echo same > /d/same", &one)?;
    step(&one, "rm /d/one; echo 2 > /d/two; chmod 600 /d/same", &two)?;
    cx.sh(&two, "ls /d; stat -c %a /d/same; cat /d/same")?.prints("same\ntwo\n600\nsame")?;
    cx.sh(&one, "ls /d")?.prints("one\nsame")?;
    cx.docker(&["rmi", &one])?.prints(&format!("Untagged: {one}"))?;
    cx.sh(&two, "cat /d/two")?.prints("2")?;
    let out = cx.docker(&["rmi", &two])?.good()?;
    ensure!(out.matches("Deleted: ").count() == 4, "both images and both layers go: {out}");
    Ok(())
}

fn export_and_import(cx: &Cx) -> Result<()> {
    let (name, image) = (changed(cx)?, cx.own("i:1"));
    let out = cx.docker(&["export", &name])?;
    out.good()?;
    let mut names = Vec::new();
    for entry in tar::Archive::new(out.stdout.as_slice()).entries()? {
        let entry = entry?;
        names.push(format!("/{}", entry.path()?.to_string_lossy().trim_end_matches('/')));
    }
    names.sort();
    ensure!(names.contains(&"/opt/x/y".to_owned()) && !names.contains(&"/etc/issue".to_owned()));
    let id = cx
        .docker_with(
            &["import", "--platform", "linux/arm64", "-c", "CMD [\"true\"]", "-", &image],
            &out.stdout,
        )?
        .good()?;
    let shown = inspect(cx, &image)?;
    ensure!(shown["Architecture"] == "arm64" && shown["Id"] == id.as_str(), "{shown}");
    let warned = cx.docker(&["run", "--rm", &image])?;
    ensure!(warned.errors().contains("does not match the detected host platform"), "{warned}");
    cx.docker(&["create", "--platform", "linux/amd64", "--pull", "never", &image])?
        .fails(1, "does not provide the specified platform")?;
    // The tree is what it was.
    let other = cx.own("again");
    cx.docker(&["create", "--name", &other, &image])?.good()?;
    let again = cx.docker(&["export", &other])?;
    ensure!(tree(&again.stdout)? == tree(&out.stdout)?, "another tree after import");
    cx.docker(&["rm", &other])?.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    let empty = Tarball::new().finish()?;
    cx.docker_with(&["import", "--platform", "a/b/c/d", "-", &image], &empty)?.fails(1, "platform")
}
