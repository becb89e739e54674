//! `docker build` by the classic builder: Dockerfiles of many kinds, the cache, bad input, clients that vanish.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx, PROGRAMS};
use crate::output::{self, Output};
use crate::tarball::Tarball;

pub(super) const BASE_TESTS: &[Test] = tests!("build", 60;
    stream_of_steps, every_instruction, multi_stage, arguments_and_scopes, heredocs, onbuild_and_its_child, scratch_image,
    cache_rules, cache_from, copies, ignored_files, add_archives_and_urls, run_limits_and_network, set_up_files_stay_out,
    apt_install, names_and_quiet, intermediate_images, bad_dockerfiles, bad_sources, hostile_contexts, failing_run,
    client_that_vanishes, two_at_once_with_prune, twenty_cached_steps,
);

pub(super) const PROGRAM_TESTS: &[Test] = &[
    Test {
        suite: "build",
        name: "c_with_big_context",
        seconds: 120,
        programs: true,
        run: c_with_big_context,
    },
    Test { suite: "build", name: "python_wheel", seconds: 120, programs: true, run: python_wheel },
    Test { suite: "build", name: "node_application", seconds: 120, programs: true, run: node_application },
];

/// Runs `docker build` with the classic builder.
fn build_with(cx: &Cx, args: &[&str], input: &[u8]) -> Result<Output> {
    let mut command = cx.bed.docker();
    command.env("DOCKER_BUILDKIT", "0").arg("build").args(args);
    output::run(command, input, cx.deadline)
}

/// A context directory of its own for each call.
fn context(cx: &Cx, name: &str, files: &[(&str, &str)]) -> Result<PathBuf> {
    let directory = cx.directory(&[])?.join(name);
    for (file, text) in files {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().context("a file's directory")?)?;
        std::fs::write(path, text)?;
    }
    Ok(directory)
}

/// Builds the Dockerfile with these files beside it; what the builder printed.
fn build(cx: &Cx, tag: &str, dockerfile: &str, files: &[(&str, &str)], more: &[&str]) -> Result<Output> {
    let name = tag.replace([':', '/'], "_");
    let mut all = vec![("Dockerfile", dockerfile)];
    all.extend(files);
    let directory = context(cx, &name, &all)?;
    let directory = directory.to_string_lossy().into_owned();
    let mut args = vec!["-t", tag];
    args.extend(more);
    args.push(&directory);
    build_with(cx, &args, b"")
}

/// A Dockerfile by standard input, without a context.
fn from_stdin(cx: &Cx, dockerfile: &str) -> Result<Output> {
    build_with(cx, &["-"], dockerfile.as_bytes())
}

fn inspect(cx: &Cx, image: &str, format: &str) -> Result<String> {
    cx.docker(&["image", "inspect", "-f", format, image])?.good()
}

fn stream_of_steps(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!("FROM {BASE}\nENV A=1\nRUN echo out; echo err >&2\nCOPY f /f\n");
    let text = build(cx, &tag, &file, &[("f", "f")], &[])?.good()?;
    // Ids differ each time; the rest is exactly this.
    let plain: Vec<String> = text
        .lines()
        .skip_while(|l| !l.starts_with("Step"))
        .map(|line| match line.rfind(' ') {
            Some(at)
                if line[at + 1..].len() == 12 && line[at + 1..].bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                format!("{} ID", &line[..at])
            }
            _ => line.to_owned(),
        })
        .collect();
    let want = [
        &format!("Step 1/4 : FROM {BASE}"),
        " ---> ID",
        "Step 2/4 : ENV A=1",
        " ---> Running in ID",
        " ---> Removed intermediate container ID",
        " ---> ID",
        "Step 3/4 : RUN echo out; echo err >&2",
        " ---> Running in ID",
        "out",
        "\u{1b}[91merr",
        "\u{1b}[0m ---> Removed intermediate container ID",
        " ---> ID",
        "Step 4/4 : COPY f /f",
        " ---> ID",
        "Successfully built ID",
        &format!("Successfully tagged {tag}"),
    ];
    ensure!(plain == want, "{plain:#?}");
    let text = build(cx, &tag, &file, &[("f", "f")], &[])?.good()?;
    ensure!(text.matches(" ---> Using cache").count() == 3, "{text}");
    let left = cx.docker(&["ps", "-aq", "--filter", &format!("ancestor={tag}")])?.good()?;
    ensure!(left.is_empty(), "containers stay: {left}");
    Ok(())
}

fn every_instruction(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!(
        r#"# escape=\
ARG FROM={BASE}
FROM $FROM AS all
MAINTAINER somebody
ARG WHO=world
ENV GREETING="hello $WHO" X=1
LABEL one=1 "two words"='2 3'
SHELL ["/bin/bash", "-c"]
RUN [[ $X == 1 ]] && echo "$GREETING" \
    # a comment
    > /greeting
SHELL ["/bin/sh", "-c"]
RUN ["/bin/sh", "-c", "echo exec >> /greeting"]
WORKDIR /srv
WORKDIR app
COPY file ./
ADD file /added
RUN useradd -u 1234 me && chown me /srv/app
USER me
RUN id -un > /srv/app/who; pwd >> /srv/app/who
EXPOSE 80 53/udp 9000-9001
VOLUME ["/data"]
VOLUME /more
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5m --retries=2 CMD test -e /greeting
ONBUILD RUN true
ENTRYPOINT ["cat"]
CMD ["/greeting", "who"]
"#
    );
    build(cx, &tag, &file, &[("file", "text")], &["--label", "three=3"])?.good()?;
    cx.docker(&["run", "--rm", &tag])?.prints("hello world\nexec\nme\n/srv/app")?;
    let got = inspect(
        cx,
        &tag,
        "{{json .Config.Labels}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{.Config.User}} {{.Config.WorkingDir}} {{.Config.StopSignal}} {{json .Config.Healthcheck}} {{json .Config.OnBuild}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{.Author}}",
    )?;
    let want = r#"{"one":"1","three":"3","two words":"2 3"} {"53/udp":{},"80/tcp":{},"9000/tcp":{},"9001/tcp":{}} {"/data":{},"/more":{}} me /srv/app SIGQUIT {"Test":["CMD-SHELL","test -e /greeting"],"Interval":300000000000,"Retries":2} ["RUN true"] ["cat"] ["/greeting","who"] somebody"#;
    ensure!(got == want, "{got}");
    let history = cx.docker(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", &tag])?.good()?;
    for line in [
        "/bin/sh -c #(nop)  CMD [\"/greeting\" \"who\"]",
        "/bin/sh -c #(nop) WORKDIR /srv/app",
        "/bin/sh -c #(nop)  ENV GREETING=hello world X=1",
        "|1 WHO=world /bin/bash -c [[ $X == 1 ]]",
        "|1 WHO=world /bin/sh -c echo exec >> /greeting",
        "/bin/sh -c #(nop)  EXPOSE 53/udp 80 9000-9001",
        "/bin/sh -c #(nop)  MAINTAINER somebody",
    ] {
        ensure!(history.lines().any(|l| l.starts_with(line)), "{line}\n{history}");
    }
    Ok(())
}

fn multi_stage(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!(
        "FROM {BASE} AS Build\nRUN mkdir -p /out/d && echo built > /out/f && ln -s f /out/l && ln /out/f /out/d/hard && chown 5:6 /out/f && chmod 4750 /out/f\nFROM scratch AS assets\nCOPY --from=build /out /assets/\nFROM {BASE}\nCOPY --from=assets /assets/ /a/\nCOPY --from=0 /out/f /zero\nCOPY --from={BASE} /etc/debian_version /v\nFROM build AS last\nRUN echo last >> /out/f\n"
    );
    build(cx, &tag, &file, &[], &["--target", "2"])?.good()?;
    cx.sh(&tag, "cat /a/f /a/l; stat -c '%u:%g %a %h' /a/f /a/d/hard /zero; readlink /a/l; cut -c1-3 /v; test -e /out || echo gone")?
        .prints("built\nbuilt\n5:6 4750 2\n5:6 4750 2\n5:6 4750 1\nf\n12.\ngone")?;
    let text = build(cx, &tag, &file, &[], &["--target", "BUILD"])?.good()?;
    ensure!(text.contains("Step 1/2 : ") && !text.contains("last"), "{text}");
    let text = build(cx, &tag, &file, &[], &[])?.good()?;
    ensure!(text.contains("Step 10/10 : RUN echo last"), "{text}");
    cx.sh(&tag, "cat /out/f")?.prints("built\nlast")?;
    build(cx, &tag, &file, &[], &["--target", "nothing"])?
        .fails(1, "target stage \"nothing\" could not be found")
}

fn arguments_and_scopes(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = "ARG V=12\nARG G=global\nFROM --platform=$BUILDPLATFORM debian:$V AS a\nRUN echo \"[$G]\" > /r\nARG G\nARG H=default\nARG TARGETARCH\nRUN echo \"$G $H $TARGETARCH [$HTTP_PROXY]\" >> /r\nENV H=env\nENV R=\"$H ${N:-none} ${H:+set} ${H#e} ${H/n/N}\"\nRUN echo \"$R\" >> /r\nFROM a\nRUN echo \"[$G]\" >> /r\n";
    ensure!(BASE == "debian:12");
    let args = ["--build-arg", "H=given", "--build-arg", "HTTP_PROXY=http://p", "--build-arg", "unused=1"];
    let text = build(cx, &tag, file, &[], &args)?.good()?;
    ensure!(text.contains("[Warning] One or more build-args [unused] were not consumed"), "{text}");
    cx.sh(&tag, "cat /r; env | grep -c -e ^G= -e PROXY || true")?
        .prints("[]\nglobal given amd64 [http://p]\nenv none set nv eNv\n[]\n0")?;
    let history = cx.docker(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", &tag])?.good()?;
    ensure!(
        history.contains("|3 G=global H=given TARGETARCH=amd64 /bin/sh -c") && !history.contains("PROXY="),
        "{history}"
    );
    // Another proxy is no other command; another argument is.
    let again = ["--build-arg", "H=given", "--build-arg", "HTTP_PROXY=http://q"];
    ensure!(
        !build(cx, &tag, file, &[], &again)?.good()?.contains("Running in"),
        "a proxy is part of the cache's key"
    );
    ensure!(build(cx, &tag, file, &[], &["--build-arg", "H=other"])?.good()?.contains("Running in"));
    Ok(())
}

fn heredocs(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!(
        "FROM {PROGRAM}\nENV X=value\nRUN <<EOF\nset -e\nfalse || echo \"in $X\" > /r\nEOF\nRUN <<PY\n#!/usr/bin/perl\nopen(F, '>>', '/r'); print F \"perl\\n\";\nPY\nRUN cat <<A >> /r && cat <<-'B' >> /r\na $X\nA\n\tb $X\n\tB\nCOPY --chmod=640 --chown=1:2 <<C <<'D' /d/\nc $X \"q\"\nC\nd $X\nD\nCOPY <<E /e\n\nE\n",
        PROGRAM = BASE
    );
    build(cx, &tag, &file, &[], &[])?.good()?;
    cx.sh(
        &tag,
        "cat /r /d/C /d/D; stat -c '%n %a %u:%g' /d/C; wc -c < /e; ls /dev/pipes 2>/dev/null || true",
    )?
    .prints("in value\nperl\na value\nb $X\nc value \"q\"\nd $X\n/d/C 640 1:2\n1")
}

fn onbuild_and_its_child(cx: &Cx) -> Result<()> {
    let (base, child, grandchild) = (cx.own("b:1"), cx.own("c:1"), cx.own("g:1"));
    let file = format!("FROM {BASE}\nWORKDIR /app\nONBUILD COPY . .\nONBUILD RUN cat source > made\n");
    build(cx, &base, &file, &[("source", "of the base")], &[])?.good()?;
    cx.sh(&base, "ls /app | wc -l")?.prints("0")?;
    let file = format!("FROM {base}\nRUN echo own >> made\n");
    let text = build(cx, &child, &file, &[("source", "of the child\n")], &[])?.good()?;
    ensure!(text.contains("# Executing 2 build triggers\n"), "{text}");
    cx.sh(&child, "cat made")?.prints("of the child\nown")?;
    build(cx, &grandchild, &format!("FROM {child}\nRUN true\n"), &[], &[])?.good()?;
    ensure!(inspect(cx, &child, "{{json .Config.OnBuild}}")? == "null");
    let bad = format!("FROM {BASE}\nONBUILD FROM x\n");
    from_stdin(cx, &bad)?.fails(1, "FROM isn't allowed as an ONBUILD trigger")
}

fn scratch_image(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let directory =
        context(cx, "ctx", &[("Dockerfile", "FROM scratch\nCOPY prog /bin/\nENTRYPOINT [\"/bin/prog\"]\n")])?;
    std::fs::copy(cx.bed.tools()?.join("musl"), directory.join("prog"))?;
    let directory = directory.to_string_lossy().into_owned();
    let text = build_with(cx, &["-t", &tag, &directory], b"")?.good()?;
    ensure!(text.contains("Step 1/3 : FROM scratch\n ---> \n"), "{text}");
    cx.docker(&["run", "--rm", &tag])?.good()?;
    ensure!(inspect(cx, &tag, "{{len .RootFS.Layers}}")? == "1");
    from_stdin(cx, "FROM scratch\n")?.fails(1, "No image was generated")
}

fn cache_rules(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!("FROM {BASE}\nCOPY d /d\nRUN cat /d/f > /r\n");
    let hits = |out: Output| -> Result<usize> { Ok(out.good()?.matches("Using cache").count()) };
    let first = [("d/f", "one"), ("d/g", "")];
    ensure!(hits(build(cx, &tag, &file, &first, &[])?)? == 0);
    let directory = context(cx, &tag.replace(':', "_"), &[])?;
    // Only the time differs.
    let touched =
        std::process::Command::new("touch").args(["-d", "2001-01-01"]).arg(directory.join("d/f")).status()?;
    ensure!(touched.success());
    let path = directory.to_string_lossy().into_owned();
    let again = || build_with(cx, &["-t", &tag, &path], b"");
    ensure!(hits(again()?)? == 2, "a time invalidates the cache");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory.join("d/f"), std::fs::Permissions::from_mode(0o600))?;
    ensure!(hits(again()?)? == 0, "a mode does not invalidate the cache");
    std::fs::write(directory.join("d/f"), "two")?;
    ensure!(hits(again()?)? == 0, "bytes do not invalidate the cache");
    cx.sh(&tag, "cat /r")?.prints("two")?;
    std::fs::rename(directory.join("d/g"), directory.join("d/h"))?;
    ensure!(hits(again()?)? == 0, "a name does not invalidate the cache");
    std::fs::write(directory.join("beside"), "not copied")?;
    ensure!(hits(again()?)? == 2, "what is not copied invalidates the cache");
    let none = build_with(cx, &["--no-cache", "-t", &tag, &path], b"")?;
    ensure!(hits(none)? == 0);
    // Another configuration below is another parent.
    ensure!(hits(build(cx, &tag, &file.replace("COPY", "ENV OF=cache_rules\nCOPY"), &[], &[])?)? == 0);
    Ok(())
}

fn cache_from(cx: &Cx) -> Result<()> {
    let (old, new) = (cx.own("old:1"), cx.own("new:1"));
    let file = format!("FROM {BASE}\nENV A=1\nRUN echo cached > /r\nCMD [\"cat\", \"/r\"]\n");
    build(cx, &old, &file, &[], &[])?.good()?;
    // It goes elsewhere and comes back without its parents.
    let saved = cx.docker(&["save", &old])?;
    saved.good()?;
    cx.docker(&["rmi", &old])?.good()?;
    cx.docker_with(&["load"], &saved.stdout)?.good()?;
    let text = build(cx, &new, &file, &[], &["--cache-from", &old])?.good()?;
    ensure!(text.matches("Using cache").count() == 3, "{text}");
    ensure!(inspect(cx, &new, "{{.Id}}")? == inspect(cx, &old, "{{.Id}}")?);
    // It goes on from the middle.
    let longer = file.replace("CMD", "RUN echo more >> /r\nCMD");
    let text = build(cx, &new, &longer, &[], &["--cache-from", &old])?.good()?;
    ensure!(text.matches("Using cache").count() == 2, "{text}");
    cx.docker(&["run", "--rm", &new])?.prints("cached\nmore")
}

fn copies(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let files = [
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("c.md", "c"),
        ("dir/x/1.txt", "1"),
        ("dir/x/2.log", "2"),
        ("dir/y/3.txt", "3"),
    ];
    let file = format!(
        "FROM {BASE}\nRUN mkdir /real && ln -s real /link && groupadd -g 77 g && useradd -u 66 -g g u\nCOPY *.txt /txt/\nCOPY a.txt /renamed\nCOPY a.txt c.md /two/\nCOPY dir /whole\nCOPY dir/x dir/y /both/\nCOPY a.txt /link/\nCOPY --chown=u:g --chmod=0711 dir /owned\nCOPY --chown=9 a.txt /nine\nCOPY --chmod=u+x,go-rwx a.txt /x\nCOPY --parents dir/*/*.txt ./dir/./x/2.log /parents/\nCOPY --exclude=**/*.log --exclude=y dir /without\nCOPY [\"a.txt\", \"/with blank\"]\nWORKDIR /w\nCOPY --link a.txt .\nCOPY ./dir/x/../y/3.txt here\n"
    );
    build(cx, &tag, &file, &files, &[])?.good()?;
    cx.sh(
        &tag,
        "cd /; find txt renamed two whole both real owned nine x parents without 'with blank' w ! -type d | sort; stat -c '%n %a %u:%g' owned owned/x owned/x/1.txt nine x",
    )?
    .prints(
        "both/1.txt\nboth/2.log\nboth/3.txt\nnine\nowned/x/1.txt\nowned/x/2.log\nowned/y/3.txt\nparents/dir/x/1.txt\nparents/dir/y/3.txt\nparents/x/2.log\nreal/a.txt\nrenamed\ntwo/a.txt\ntwo/c.md\ntxt/a.txt\ntxt/b.txt\nw/a.txt\nw/here\nwhole/x/1.txt\nwhole/x/2.log\nwhole/y/3.txt\nwith blank\nwithout/x/1.txt\nx\nowned 755 66:77\nowned/x 711 66:77\nowned/x/1.txt 711 66:77\nnine 644 9:9\nx 700 0:0",
    )
}

fn ignored_files(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let files = [
        (".dockerignore", "*\n!src\nsrc/**/*.o\n# comment\n"),
        ("src/a.c", ""),
        ("src/d/b.o", ""),
        ("other", ""),
        ("Second", "FROM scratch\nCOPY . /\nCMD [\"x\"]\n"),
        ("Second.dockerignore", "src\nSecond*\nDockerfile\n.docker*\n"),
    ];
    build(cx, &tag, &format!("FROM {BASE}\nCOPY . /c/\n"), &files, &[])?.good()?;
    cx.sh(&tag, "cd /c; find . ! -type d | sort")?.prints("./src/a.c")?;
    // As other clients send it: everything, and the rules with it.
    let mut tar = Tarball::new();
    for (name, text) in files {
        tar = tar.file(name, 0o644, text.as_bytes())?;
    }
    let tar = tar.finish()?;
    build_with(cx, &["-t", &tag, "-f", "Second", "-"], &tar)?.good()?;
    let export = cx.docker(&["create", "--name", &cx.own("x"), &tag])?;
    export.good()?;
    let tar = cx.docker(&["export", &cx.own("x")])?;
    let names: Vec<String> = tar::Archive::new(tar.stdout.as_slice())
        .entries()?
        .filter_map(|e| Some(e.ok()?.path().ok()?.to_string_lossy().into_owned()))
        .filter(|n| ["other", "src", "Second", "Dockerfile"].iter().any(|s| n.starts_with(s)))
        .collect();
    ensure!(names == ["other"], "{names:?}");
    Ok(())
}

/// Answers each request with what belongs to its path, on loopback.
fn serve(files: Vec<(&'static str, Vec<u8>)>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            let answer = match files.iter().find(|(name, _)| *name == path) {
                _ if path == "/moved" => b"HTTP/1.1 302 Found\r\nLocation: /file.txt\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
                Some((_, bytes)) => [
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\n", bytes.len()).as_bytes(),
                    bytes.as_slice(),
                ]
                .concat(),
                None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
            };
            let _ = stream.write_all(&answer);
        }
    });
    Ok(port)
}

fn add_archives_and_urls(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let plain = Tarball::new()
        .directory("t/")?
        .file("t/f", 0o640, b"in the archive")?
        .symlink("t/l", "f")?
        .finish()?;
    let packed = {
        let mut command = std::process::Command::new("gzip");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("a pipe")?.write_all(&plain)?;
        child.wait_with_output()?.stdout
    };
    let context_tar = Tarball::new()
        .file("Dockerfile", 0o644, b"FROM scratch\nCOPY f /f\nCMD [\"/f\"]\n")?
        .file("f", 0o644, b"remote")?
        .finish()?;
    let dockerfile = format!("FROM {BASE}\nRUN echo remote > /r\n").into_bytes();
    let port = serve(vec![
        ("/file.txt", b"fetched".to_vec()),
        ("/a.tar", plain.clone()),
        ("/context.tar", context_tar),
        ("/Dockerfile", dockerfile),
    ])?;
    let digest = crate::tarball::digest(b"fetched");
    let file = format!(
        "FROM {BASE}\nADD plain.tar packed.tgz /u/\nADD notes.tar /n/\nCOPY plain.tar /c/\nADD --unpack=false plain.tar /k/\nADD http://127.0.0.1:{port}/file.txt /d/\nADD --checksum=sha256:{digest} --chmod=644 http://127.0.0.1:{port}/moved /named\nADD http://127.0.0.1:{port}/a.tar /a.tar\n"
    );
    let directory = context(cx, "ctx", &[("Dockerfile", &file), ("notes.tar", "no archive")])?;
    std::fs::write(directory.join("plain.tar"), &plain)?;
    std::fs::write(directory.join("packed.tgz"), &packed)?;
    let path = directory.to_string_lossy().into_owned();
    build_with(cx, &["-t", &tag, &path], b"")?.good()?;
    cx.sh(&tag, "cat /u/t/l; echo; stat -c '%n %a %Y' /u/t/f /d/file.txt /named /a.tar | cut -d' ' -f1,2; date -u -r /d/file.txt +%F; cat /n/notes.tar /d/file.txt /named; ls /c /k /u")?
        .prints("in the archive\n/u/t/f 640\n/d/file.txt 600\n/named 644\n/a.tar 600\n1994-11-06\nno archivefetchedfetched/c:\nplain.tar\n\n/k:\nplain.tar\n\n/u:\nt")?;
    from_stdin(
        cx,
        &format!(
            "FROM {BASE}\nADD --checksum=sha256:{} http://127.0.0.1:{port}/file.txt /x\n",
            "0".repeat(64)
        ),
    )?
    .fails(1, "digest mismatch")?;
    from_stdin(cx, &format!("FROM {BASE}\nADD http://127.0.0.1:{port}/nothing /x\n"))?
        .fails(1, "404 Not Found")?;
    // Contexts at URLs; git's are not supported.
    build_with(cx, &["-t", &tag, &format!("http://127.0.0.1:{port}/context.tar")], b"")?.good()?;
    build_with(cx, &["-t", &tag, &format!("http://127.0.0.1:{port}/Dockerfile")], b"")?.good()?;
    cx.sh(&tag, "cat /r")?.prints("remote")?;
    let answer = crate::http::request(cx, "POST", "/build?remote=git%3A%2F%2Fhost%2Fx.git", "")?;
    ensure!(answer.status == 501 && answer.text().contains("git repositories"), "{}", answer.text());
    Ok(())
}

fn run_limits_and_network(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!(
        "FROM {BASE}\nRUN grep -c other.host /etc/hosts; ulimit -n; ls /sys/class/net; stat -f -c %s%b /dev/shm >/dev/null\nRUN --network=none ls /sys/class/net\n"
    );
    let args = [
        "--add-host",
        "other.host:127.0.0.9",
        "--ulimit",
        "nofile=123:456",
        "--network",
        "none",
        "--memory",
        "1g",
        "--shm-size",
        "32m",
        "--cpu-shares",
        "2",
        "--cpuset-cpus",
        "0",
    ];
    let text = build(cx, &tag, &file, &[], &args)?.good()?;
    ensure!(text.contains("\n1\n123\nlo\n"), "{text}");
    let refused = crate::http::request(cx, "POST", "/build?squash=1", "")?;
    ensure!(refused.text().contains("squash is only supported with experimental mode"), "{}", refused.text());
    from_stdin(cx, &format!("FROM {BASE}\nRUN --mount=type=cache,target=/x true\n"))?
        .fails(1, "the --mount option requires BuildKit")
}

fn set_up_files_stay_out(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!(
        "FROM {BASE}\nRUN cat /etc/hosts /etc/hostname /etc/resolv.conf > /dev/null; echo x > /only\n"
    );
    build(cx, &tag, &file, &[], &["--add-host", "a:127.0.0.1"])?.good()?;
    let history = cx.docker(&["history", "--format", "{{.Size}}", &tag])?.good()?;
    ensure!(history.lines().next() == Some("2B"), "{history}");
    let name = cx.own("x");
    cx.docker(&["create", "--name", &name, &tag, "x"])?.good()?;
    let tar = cx.docker(&["export", &name])?.stdout;
    let mut archive = tar::Archive::new(tar.as_slice());
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        ensure!(
            path != "etc/hosts" || entry.size() == base_size(cx, "/etc/hosts")?,
            "/etc/hosts was committed"
        );
    }
    Ok(())
}

/// Bytes of a file in the archive that the base image was made of; 0 if it is not there.
fn base_size(cx: &Cx, path: &str) -> Result<u64> {
    let mut archive = tar::Archive::new(std::fs::File::open(&cx.bed.args.base)?);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path()?.to_string_lossy().trim_start_matches('.') == path {
            return Ok(entry.size());
        }
    }
    Ok(0)
}

fn apt_install(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let directory = context(
        cx,
        "ctx",
        &[(
            "Dockerfile",
            &format!(
                "FROM {BASE}\nCOPY *.deb /debs/\nRUN apt-get -o APT::Sandbox::User=root install -y --no-install-recommends /debs/*.deb && rm -rf /debs\nRUN dpkg -s less | grep Status\n"
            ),
        )],
    )?;
    for entry in std::fs::read_dir(cx.bed.tools()?.join("debs"))?.flatten() {
        std::fs::copy(entry.path(), directory.join(entry.file_name()))?;
    }
    let path = directory.to_string_lossy().into_owned();
    let text = build_with(cx, &["-t", &tag, &path], b"")?.good()?;
    ensure!(text.contains("Status: install ok installed"), "{text}");
    cx.sh(&tag, "test -e /debs || echo gone; dpkg --audit; echo hello | less")?.prints("gone\nhello")
}

fn names_and_quiet(cx: &Cx) -> Result<()> {
    let (a, b) = (cx.own("a:1"), cx.own("b"));
    let file = format!("FROM {BASE}\nENV A=b\n");
    let iidfile = cx.directory(&[])?.join("iid");
    let iid = iidfile.to_string_lossy().into_owned();
    let text = build(cx, &a, &file, &[], &["-t", &b, "--iidfile", &iid])?.good()?;
    ensure!(text.contains(&format!("Successfully tagged {a}\nSuccessfully tagged {b}:latest")), "{text}");
    let id = inspect(cx, &b, "{{.Id}}")?;
    ensure!(std::fs::read_to_string(iidfile)? == id);
    build(cx, &a, &file, &[], &["-q"])?.prints(&id)?;
    build_with(cx, &["-q", "-"], file.as_bytes())?.prints(&id)?;
    build(cx, &a, &file, &[], &["-t", "UPPER:1"])?
        .fails(125, "invalid reference format")
        .or_else(|_| build(cx, &a, &file, &[], &["-t", "UPPER:1"])?.fails(1, "must be lowercase"))?;
    // A file from outside of the context.
    let other = context(cx, "elsewhere", &[("X.Dockerfile", &file)])?.join("X.Dockerfile");
    let empty = context(cx, "empty", &[("f", "")])?;
    build_with(cx, &["-q", "-f", &other.to_string_lossy(), &empty.to_string_lossy()], b"")?.prints(&id)?;
    let answer = crate::http::request(cx, "POST", "/build/prune", "")?;
    ensure!(answer.status == 200 && answer.text().contains("\"SpaceReclaimed\":0"), "{}", answer.text());
    Ok(())
}

fn intermediate_images(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!("FROM {BASE}\nENV UNIQUE={tag}\nRUN echo 1 > /1\nRUN echo 2 > /2\n");
    build(cx, &tag, &file, &[], &[])?.good()?;
    let id = inspect(cx, &tag, "{{.Id}}")?;
    let parent = inspect(cx, &tag, "{{.Parent}}")?;
    ensure!(parent.starts_with("sha256:"), "no parent");
    let shown = cx.docker(&["images", "-q", "--no-trunc"])?.good()?;
    let all = cx.docker(&["images", "-aq", "--no-trunc"])?.good()?;
    ensure!(!shown.contains(&parent) && all.contains(&parent) && shown.contains(&id), "{shown}\n{all}");
    cx.docker(&["rmi", &parent])?.fails(1, "image has dependent child images")?;
    let gone = cx.docker(&["rmi", &tag])?.good()?;
    ensure!(gone.contains(&id) && gone.contains(&parent), "{gone}");
    ensure!(gone.matches("Deleted: sha256:").count() >= 3, "{gone}");
    inspect(cx, BASE, "{{.Id}}")?;
    Ok(())
}

fn bad_dockerfiles(cx: &Cx) -> Result<()> {
    for (text, why) in [
        ("FROM x\nFOO bar\n".to_owned(), "dockerfile parse error on line 2: unknown instruction: FOO"),
        (format!("FROM {BASE}\nRUN <<EOF\nnever ended\n"), "unterminated heredoc"),
        (format!("FROM {BASE}\nRUN a\0b\n"), "NUL"),
        (format!("FROM {BASE}\nRUN {}\n", "x".repeat(70_000)), "maximum allowed size of 65535"),
        (
            format!("FROM {BASE}\n{}BOGUS\n", "# only a comment, but many of them\n".repeat(300_000)),
            "unknown instruction: BOGUS",
        ),
        ("RUN x\n".to_owned(), "no build stage in current context"),
        ("FROM a b\n".to_owned(), "FROM requires either one or three arguments"),
        (format!("FROM {BASE}\nCOPY --foo a b\n"), "unknown flag: --foo"),
        (format!("FROM {BASE}\nENV A=${{B:?needed}}\n"), "B: needed"),
        (format!("FROM {BASE}\nENV A=${{B\n"), "missing '}'"),
        (format!("FROM {BASE}\nSTOPSIGNAL FOO\n"), "invalid signal"),
        (format!("FROM {BASE}\nEXPOSE 99999\n"), "invalid containerPort"),
        ("FROM $NOTHING\n".to_owned(), "should not be blank"),
        (format!("FROM {BASE} AS a\nFROM {BASE} AS a\n"), "already used"),
        (format!("FROM {BASE}\nCOPY --from=7 a b\n"), "invalid from flag value 7"),
    ] {
        from_stdin(cx, &text)?.fails(1, why).with_context(|| text.chars().take(200).collect::<String>())?;
    }
    // Values that double with each line end.
    let bomb: String = (0..64).map(|i| format!("ENV A{}=$A{i}$A{i}\n", i + 1)).collect();
    from_stdin(cx, &format!("FROM {BASE}\nENV A0=0123456789\n{bomb}"))?.fails(1, "longer than 1 MiB")?;
    let empty = context(cx, "none", &[("f", "")])?.to_string_lossy().into_owned();
    let tar = Tarball::new().file("f", 0o644, b"")?.finish()?;
    build_with(cx, &["-"], &tar)?.fails(1, "Cannot locate specified Dockerfile: Dockerfile")?;
    let tar = Tarball::new().file("Dockerfile", 0o644, b"")?.finish()?;
    build_with(cx, &["-"], &tar)?.fails(1, "the Dockerfile (Dockerfile) cannot be empty")?;
    let out = build_with(cx, &[&empty], b"")?;
    ensure!(out.code != 0 && out.errors().contains("Dockerfile"), "{out}");
    Ok(())
}

fn bad_sources(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    for (line, why) in [
        (
            "COPY nofile /x",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nofile: file does not exist",
        ),
        ("COPY ../a /x", "COPY failed: forbidden path outside the build context: ../a ()"),
        ("COPY no*thing /x", "COPY failed: no source files were specified"),
        (
            "COPY a a /x",
            "When using COPY with more than one source file, the destination must be a directory and end with a /",
        ),
        ("COPY a /etc/passwd/x", "not a directory"),
        ("COPY --chown=nobody-there a /x", "no such user: nobody-there"),
        ("COPY --chmod=9 a /x", "invalid chmod parameter"),
        ("COPY secret /x", "file not found in build context"),
        ("COPY loop /x", "too many levels of symbolic links"),
    ] {
        let directory = context(cx, "ctx", &[("Dockerfile", &format!("FROM {BASE}\n{line}\n")), ("a", "a")])?;
        let _ = std::os::unix::fs::symlink("/etc/hostname", directory.join("secret"));
        let _ = std::os::unix::fs::symlink("loop", directory.join("loop"));
        build_with(cx, &["-t", &tag, &directory.to_string_lossy()], b"")?.fails(1, why).context(line)?;
    }
    Ok(())
}

fn hostile_contexts(cx: &Cx) -> Result<()> {
    let file = format!("FROM {BASE}\nCOPY . /c/\nRUN find /c | sort; cat /c/etc/passwd\n").into_bytes();
    let tar = || Tarball::new().file("Dockerfile", 0o644, &file);
    // Absolute names are below the root of the context.
    let text = build_with(cx, &["-"], &tar()?.file("/etc/passwd", 0o644, b"mine")?.finish()?)?.good()?;
    ensure!(text.contains("/c/etc/passwd") && text.contains("mine"), "{text}");
    for (bytes, why) in [
        (tar()?.file("../../escaped", 0o644, b"x")?.finish()?, "outside"),
        (tar()?.symlink("etc", "/etc")?.file("etc/passwd", 0o644, b"x")?.finish()?, "no directory"),
        (tar()?.hard_link("stolen", "/etc/hostname")?.finish()?, "hard link to nothing"),
        (tar()?.hard_link("stolen", "../../../../etc/hostname")?.finish()?, "hard link to nothing"),
        (tar()?.promise("long", 1 << 40)?.finish()?, "unexpected end"),
        (b"no archive at all".to_vec(), ""),
    ] {
        let out = build_with(cx, &["-"], &bytes)?;
        ensure!(out.code != 0 && out.errors().contains(why), "{why}: {out}");
    }
    ensure!(!cx.bed.path("escaped").exists());
    // A link out of the context leads nowhere.
    let file = format!("FROM {BASE}\nCOPY l/hostname /x\n").into_bytes();
    let bytes = Tarball::new().file("Dockerfile", 0o644, &file)?.symlink("l", "/etc")?.finish()?;
    build_with(cx, &["-"], &bytes)?.fails(1, "file not found in build context")?;
    let whiteout = format!("FROM {BASE}\nCOPY .wh.etc /\n").into_bytes();
    let bytes = Tarball::new().file("Dockerfile", 0o644, &whiteout)?.file(".wh.etc", 0o644, b"")?.finish()?;
    build_with(cx, &["-"], &bytes)?.fails(1, "reserved in layers")
}

fn failing_run(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let file = format!("FROM {BASE}\nLABEL test={tag}\nRUN echo before; exit 7\nRUN echo never\n");
    let out = build(cx, &tag, &file, &[], &["--force-rm"])?;
    out.fails(7, "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7")?;
    ensure!(out.text().contains("before") && !out.text().contains("never"), "{out}");
    let mine = |cx: &Cx| cx.docker(&["ps", "-aq", "--filter", &format!("label=test={tag}")])?.good();
    ensure!(mine(cx)?.is_empty(), "--force-rm keeps a container");
    build(cx, &tag, &file, &[], &[])?.code(7)?;
    // Without it the container stays, for whoever wants to know why.
    let left = mine(cx)?;
    ensure!(left.lines().count() == 1, "{left}");
    cx.docker(&["logs", &left]).ok();
    cx.docker(&["rm", &left])?.good()?;
    from_stdin(cx, &format!("FROM {BASE}\nRUN [\"no-such-program\"]\n"))?
        .fails(1, "executable file not found")?;
    from_stdin(cx, &format!("FROM {BASE}\nUSER nobody-there\nRUN id\n"))?.fails(1, "nobody-there")?;
    build(cx, &tag, &file, &[], &["-q", "--force-rm"])?.fails(7, "returned a non-zero code: 7")
}

fn client_that_vanishes(cx: &Cx) -> Result<()> {
    let label = cx.own("label");
    let file = format!("FROM {BASE}\nLABEL test={label}\nRUN echo started; sleep 1000\n");
    let directory = context(cx, "ctx", &[("Dockerfile", &file)])?;
    let mut command = cx.bed.docker();
    command.env("DOCKER_BUILDKIT", "0").arg("build").arg(&directory).stdin(Stdio::null());
    let mut client = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let filter = format!("label=test={label}");
    cx.until("the container runs", || {
        Ok(!cx.docker(&["ps", "-q", "--filter", &filter])?.good()?.is_empty())
    })?;
    client.kill()?;
    client.wait()?;
    cx.until("the container goes away with its client", || {
        Ok(cx.docker(&["ps", "-aq", "--filter", &filter])?.good()?.is_empty())
    })?;
    // The same by the id that the client gave.
    let mut stream = crate::http::connect(cx)?;
    let tar = Tarball::new().file("Dockerfile", 0o644, file.as_bytes())?.finish()?;
    let head = format!(
        "POST /build?buildid={label}&nocache=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        tar.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&tar)?;
    cx.until("the container runs", || {
        Ok(!cx.docker(&["ps", "-q", "--filter", &filter])?.good()?.is_empty())
    })?;
    let answer = crate::http::request(cx, "POST", &format!("/build/cancel?id={label}"), "")?;
    ensure!(answer.status == 204, "{}", answer.text());
    let answer = crate::http::read(&mut stream)?;
    ensure!(answer.text().contains("Build cancelled"), "{}", answer.text());
    cx.until("the container goes away", || {
        Ok(cx.docker(&["ps", "-aq", "--filter", &filter])?.good()?.is_empty())
    })
}

fn two_at_once_with_prune(cx: &Cx) -> Result<()> {
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..2)
            .map(|i| {
                scope.spawn(move || {
                    for round in 0..3 {
                        let tag = cx.own(&format!("b{i}:{round}"));
                        let file = format!(
                            "FROM {BASE} AS x\nENV I={i}{round}\nRUN echo {i}{round} > /1\nCOPY f /f\nRUN cat /1 /f > /2\nFROM x\nCOPY --from=x /2 /3\n"
                        );
                        build(cx, &tag, &file, &[("f", &tag)], &["--no-cache"])?.good()?;
                        cx.sh(&tag, "cat /3")?.prints(&format!("{i}{round}\n{tag}"))?;
                    }
                    Ok(())
                })
            })
            .collect();
        let pruner = scope.spawn(|| {
            for _ in 0..25 {
                let out = cx.docker(&["image", "prune", "-f"])?;
                ensure!(out.code == 0 || out.errors().contains("already running"), "{out}");
            }
            Ok(())
        });
        builds.into_iter().chain([pruner]).map(|t| t.join().unwrap_or_else(|_| Ok(()))).collect()
    });
    results.into_iter().collect()
}

fn twenty_cached_steps(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let mut file = format!("FROM {BASE}\n");
    for i in 0..9 {
        file.push_str(&format!("ENV A{i}={i}\nCOPY f /f{i}\n"));
    }
    file.push_str("RUN ls /f0 /f8\n");
    build(cx, &tag, &file, &[("f", "f")], &[])?.good()?;
    let text = build(cx, &tag, &file, &[("f", "f")], &[])?.good()?;
    ensure!(text.contains("Step 20/20") && text.matches("Using cache").count() == 19, "{text}");
    Ok(())
}

fn c_with_big_context(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let mut files: Vec<(String, String)> =
        (0..300).map(|i| (format!("src/f{i}.c"), format!("int f{i}(void) {{ return {i}; }}\n"))).collect();
    let calls: String = (0..300).map(|i| format!("+f{i}()")).collect();
    let decls: String = (0..300).map(|i| format!("int f{i}(void);")).collect();
    files.push((
        "src/main.c".into(),
        format!("#include <stdio.h>\n{decls}\nint main(void){{printf(\"%d\\n\", 0{calls});}}\n"),
    ));
    files.extend((0..2000).map(|i| (format!("junk/{}/{i}", i % 50), "junk".repeat(100))));
    files.push((".dockerignore".into(), "junk\n**/*.o\n!junk/1/1\n".into()));
    let file = format!(
        "FROM {PROGRAMS} AS build\nWORKDIR /src\nCOPY . .\nRUN find junk -type f | wc -l && gcc -static -o /prog src/*.c\nFROM scratch\nCOPY --from=build /prog /\nCMD [\"/prog\"]\n"
    );
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let text = build(cx, &tag, &file, &files, &[])?.good()?;
    ensure!(text.contains("\n1\n"), "{text}");
    cx.docker(&["run", "--rm", &tag])?.prints("44850")
}

fn python_wheel(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let files = [
        (
            "make.py",
            "import zipfile,sys\nn='hello-1.0-py3-none-any.whl'\nz=zipfile.ZipFile(n,'w')\nz.writestr('hello.py','def main(): print(\"hello from a wheel\")\\n')\nd='hello-1.0.dist-info/'\nz.writestr(d+'METADATA','Metadata-Version: 2.1\\nName: hello\\nVersion: 1.0\\n')\nz.writestr(d+'WHEEL','Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\nz.writestr(d+'entry_points.txt','[console_scripts]\\nhello=hello:main\\n')\nz.writestr(d+'RECORD','')\nz.close()\n",
        ),
        ("requirements.txt", "hello==1.0\n"),
    ];
    let file = format!(
        "FROM {PROGRAMS} AS wheels\nWORKDIR /wheels\nCOPY make.py .\nRUN python3 make.py\nFROM {PROGRAMS}\nRUN python3 -m venv /venv\nENV PATH=/venv/bin:$PATH\nCOPY --from=wheels /wheels/*.whl /index/\nCOPY requirements.txt .\nRUN pip install --no-cache-dir --no-index --find-links /index -r requirements.txt\nCMD [\"hello\"]\n"
    );
    build(cx, &tag, &file, &files, &[])?.good()?;
    cx.docker(&["run", "--rm", &tag])?.prints("hello from a wheel")
}

fn node_application(cx: &Cx) -> Result<()> {
    let tag = cx.own("i:1");
    let files = [
        ("app/index.js", "const m = require('m');\nconsole.log(m(20, 22));\n"),
        ("app/node_modules/m/index.js", "module.exports = (a, b) => a + b;\n"),
        ("app/node_modules/m/package.json", "{\"name\":\"m\",\"version\":\"1.0.0\"}\n"),
        ("app/package.json", "{\"name\":\"app\",\"version\":\"1.0.0\"}\n"),
    ];
    let file = format!(
        "FROM {PROGRAMS}\nWORKDIR /app\nCOPY app/package*.json ./\nCOPY app .\nRUN node index.js\nUSER 1000\nCMD [\"node\", \"index.js\"]\n"
    );
    let text = build(cx, &tag, &file, &files, &[])?.good()?;
    ensure!(text.contains("\n42\n"), "{text}");
    cx.docker(&["run", "--rm", &tag])?.prints("42")
}
