use super::ignore::Ignore;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn file(text: &str) -> Dockerfile {
    parse(text).unwrap()
}

fn fails(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn steps(text: &str) -> Vec<Instruction> {
    let file = file(&format!("FROM x\n{text}"));
    file.stages.into_iter().flat_map(|s| s.steps).map(|s| s.instruction).collect()
}

fn one(text: &str) -> Instruction {
    let all = steps(text);
    assert_eq!(all.len(), 1, "{text}");
    all.into_iter().next().unwrap()
}

fn shell(text: &str) -> CommandLine {
    CommandLine::Shell(text.into())
}

fn exec(words: &[&str]) -> CommandLine {
    CommandLine::Exec(words.iter().map(|w| w.to_string()).collect())
}

#[test]
fn stages_and_their_names() {
    let f = file("ARG V=1\nFROM --platform=$P a:$V AS Build\nRUN x\nfrom b as c.d\nFROM scratch\n");
    assert_eq!(f.meta_args.len(), 1);
    let got: Vec<_> = f.stages.iter().map(|s| (s.base.as_str(), s.name.as_deref(), s.line)).collect();
    assert_eq!(got, [("a:$V", Some("build"), 2), ("b", Some("c.d"), 4), ("scratch", None, 5)]);
    assert_eq!(f.stages[0].platform.as_deref(), Some("$P"));
    assert_eq!(f.stages[0].code, "FROM --platform=$P a:$V AS Build");
    assert!(fails("FROM a b").contains("line 1: FROM requires either one or three arguments"));
    assert!(fails("FROM a AS 1x").contains("invalid name for build stage: \"1x\""));
    assert!(fails("FROM a AS x/y").contains("invalid name for build stage"));
    assert!(fails("RUN x\nFROM a").contains("line 1: no build stage in current context"));
    assert!(fails("ARG x").contains("no build stage"));
    assert!(fails("").contains("file with no instructions"));
    assert!(fails("# only\n\n").contains("file with no instructions"));
    assert!(fails("FROM a\n\nFOO bar\n").ends_with("line 3: unknown instruction: FOO"));
}

#[test]
fn lines_are_continued_and_comments_are_not_part_of_them() {
    let f = file(
        "FROM a\nRUN one \\\n  # a comment\n\n  two \\ \t\n three\n  # another\nRUN four\\\\\nRUN last \\",
    );
    let codes: Vec<_> = f.stages[0].steps.iter().map(|s| s.code.as_str()).collect();
    assert_eq!(codes, ["RUN one   two  three", "RUN four\\\\", "RUN last"]);
    assert_eq!(f.warnings, ["Empty continuation line found in: RUN one   two  three"]);
    assert_eq!(f.stages[0].steps[1].line, 8);
    assert_eq!(file("\u{feff}FROM a\r\nRUN b \\\r\n c\r\n").stages[0].steps[0].code, "RUN b  c");
}

#[test]
fn directives_come_first() {
    let f = file("# syntax=docker/dockerfile:1\n# ESCAPE = `\nFROM a\nRUN a `\n b\\\n");
    assert_eq!(f.escape, '`');
    assert_eq!(f.stages[0].steps[0].code, "RUN a  b\\");
    assert_eq!(file("# a comment\n# escape=`\nFROM a").escape, '\\');
    assert!(fails("# escape=x\nFROM a").contains("invalid escape token"));
    assert!(fails("# escape=`\n# escape=`\nFROM a").contains("only one escape parser directive"));
}

#[test]
fn heredocs() {
    let Instruction::Run(run) = one("RUN <<EOF\necho 1\n  echo $x\nEOF\n") else { panic!() };
    assert_eq!(run.command, shell("<<EOF"));
    assert_eq!(run.heredocs[0].text(), "echo 1\n  echo $x\n");
    assert!(run.heredocs[0].expand && !run.heredocs[0].chomp);
    let Instruction::Copy(copy) = one("COPY --chmod=700 <<-'A B' <<C d /x/\n\ta\n\tA B\nc\nC\n") else {
        panic!()
    };
    // A name with a blank is none.
    assert_eq!(copy.heredocs.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["C"]);
    let all = steps(
        "COPY <<-\"A\" <<C d /x/\n\ta\n\tA\nc\nC\nRUN cat <<X 3<<Y\nX\ny\nY\nRUN [\"a\", \"<<EOF\"]\nRUN a <<< b",
    );
    let Instruction::Copy(copy) = &all[0] else { panic!() };
    assert_eq!((copy.heredocs[0].text(), copy.heredocs[0].expand), ("a\n".into(), false));
    assert_eq!((copy.heredocs[1].text(), copy.heredocs[1].expand), ("c\n".into(), true));
    assert_eq!((&copy.sources[..], copy.destination.as_str()), (&["d".to_string()][..], "/x/"));
    let Instruction::Run(run) = &all[1] else { panic!() };
    assert_eq!(run.heredocs.iter().map(|h| h.content.as_str()).collect::<Vec<_>>(), ["", "y\n"]);
    assert_eq!(all.len(), 4);
    let e = parse("FROM a\nRUN <<EOF\nx\n").unwrap_err();
    assert_eq!((e.line, e.message.as_str(), e.is_syntax), (2, "unterminated heredoc", true));
    assert_eq!(one("ONBUILD RUN <<E\nx\nE\n"), Instruction::Onbuild("RUN <<E\nx\nE".into()));
    let trigger = parse_trigger("RUN <<E\nx\nE").unwrap();
    assert!(matches!(trigger.instruction, Instruction::Run(r) if r.heredocs[0].content == "x\n"));
}

#[test]
fn commands_in_both_forms() {
    assert_eq!(one("CMD [\"a\", \"b c\"]"), Instruction::Cmd(exec(&["a", "b c"])));
    assert_eq!(one("CMD a 'b c'"), Instruction::Cmd(shell("a 'b c'")));
    assert_eq!(one("CMD"), Instruction::Cmd(exec(&[])));
    assert_eq!(one("ENTRYPOINT ['a']"), Instruction::Entrypoint(shell("['a']")));
    assert_eq!(
        one("SHELL [\"/bin/bash\",\"-c\"]"),
        Instruction::Shell(vec!["/bin/bash".into(), "-c".into()])
    );
    assert!(fails("FROM a\nRUN [\"a\", 1]").contains("arrays must be comprised of strings only"));
    assert!(fails("FROM a\nSHELL /bin/sh").contains("SHELL requires the arguments to be in JSON form"));
    assert!(fails("FROM a\nRUN").contains("RUN requires at least one argument"));
}

#[test]
fn flags_are_known_or_refused() {
    let Instruction::Copy(c) = one(
        "COPY --from=b --chown=1:2 --chmod='0644' --link --parents=false --exclude=a --exclude=b* x y z/",
    ) else {
        panic!()
    };
    assert_eq!(
        (c.from.as_deref(), c.chown.as_deref(), c.chmod.as_deref()),
        (Some("b"), Some("1:2"), Some("0644"))
    );
    assert!(c.link && !c.parents);
    assert_eq!(c.exclude, ["a", "b*"]);
    assert_eq!(c.sources, ["x", "y"]);
    assert!(fails("FROM a\nCOPY --foo x y").contains("line 2: unknown flag: --foo"));
    assert!(fails("FROM a\nADD --from=x x y").contains("unknown flag: --from"));
    assert!(fails("FROM a\nCOPY --from=x --from=y x y").contains("duplicate flag"));
    assert!(fails("FROM a\nCOPY --chown x y").contains("missing a value on flag: chown"));
    assert!(fails("FROM a\nCOPY --link=7 x y").contains("expecting boolean value"));
    assert!(fails("FROM a\nENV --x a=b").contains("unknown flag: --x"));
    assert!(fails("FROM a\nCOPY x").contains("COPY requires at least two arguments"));
}

#[test]
fn pairs_in_both_forms() {
    let pairs = |text: &str| match one(text) {
        Instruction::Env(p) | Instruction::Label(p) => {
            p.into_iter().map(|p| (p.name, p.value)).collect::<Vec<_>>()
        }
        _ => panic!(),
    };
    let p = |n: &str, v: &str| (n.to_string(), v.to_string());
    assert_eq!(
        pairs("ENV a=1 b=\"2 3\" c=4\\ 5 d="),
        [p("a", "1"), p("b", "\"2 3\""), p("c", "4\\ 5"), p("d", "")]
    );
    assert_eq!(pairs("ENV a  b  c=d"), [p("a", "b  c=d")]);
    assert_eq!(pairs("LABEL \"a b\"=c"), [p("\"a b\"", "c")]);
    assert!(fails("FROM a\nENV a").contains("ENV must have two arguments"));
    assert!(fails("FROM a\nENV a=b c").contains("can't find = in \"c\""));
    assert!(fails("FROM a\nENV =b").contains("ENV names can not be blank"));
    assert_eq!(
        one("ARG a b=\"c d\""),
        Instruction::Arg(vec![("a".into(), None), ("b".into(), Some("\"c d\"".into()))])
    );
}

#[test]
fn healthchecks() {
    let Instruction::Healthcheck(h) =
        one("HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 --start-period=5s CMD curl x || exit 1")
    else {
        panic!()
    };
    assert_eq!(h.test, ["CMD-SHELL", "curl x || exit 1"]);
    assert_eq!((h.interval, h.timeout, h.retries), (90_000_000_000, 1_500_000_000, 3));
    assert!(matches!(one("HEALTHCHECK NONE"), Instruction::Healthcheck(h) if h.test == ["NONE"]));
    assert!(matches!(one("HEALTHCHECK cmd [\"a\"]"), Instruction::Healthcheck(h) if h.test == ["CMD", "a"]));
    for (text, why) in [
        ("HEALTHCHECK", "requires at least one"),
        ("HEALTHCHECK NONE x", "takes no arguments"),
        ("HEALTHCHECK FOO x", "Unknown type"),
        ("HEALTHCHECK CMD", "Missing command"),
        ("HEALTHCHECK --interval=1x CMD a", "invalid duration"),
        ("HEALTHCHECK --interval=1us CMD a", "cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD a", "cannot be negative"),
    ] {
        assert!(fails(&format!("FROM a\n{text}")).contains(why), "{text}");
    }
}

#[test]
fn triggers() {
    assert_eq!(one("ONBUILD COPY --chown=1 a b"), Instruction::Onbuild("COPY --chown=1 a b".into()));
    assert!(fails("FROM a\nONBUILD ONBUILD RUN x").contains("Chaining ONBUILD"));
    assert!(fails("FROM a\nONBUILD FROM x").contains("FROM isn't allowed as an ONBUILD trigger"));
    assert!(fails("FROM a\nONBUILD").contains("requires at least one"));
}

#[test]
fn bad_files() {
    assert!(fails("FROM a\nRUN a\0b\n").contains("line 2: a NUL character"));
    assert!(fails(&format!("FROM a\nRUN {}", "x".repeat(70_000))).contains("maximum allowed size of 65535"));
    // Big, but a Dockerfile.
    let big = format!("FROM a\n{}", "# a comment that says nothing\n".repeat(350_000));
    assert!(parse(&big).is_ok());
    assert!(
        fails(&format!("FROM a\n{}", "BOGUS\n".repeat(1000))).contains("line 2: unknown instruction: BOGUS")
    );
}

fn expand(text: &str) -> Result<String, String> {
    let variables = |name: &str| match name {
        "x" => Some("value".to_string()),
        "e" => Some(String::new()),
        "p" => Some("a/b/c.tar.gz".into()),
        "two" => Some("1 2".into()),
        "s" => Some("foofoo*bar".into()),
        _ => None,
    };
    Lexer::new('\\').word(text, &variables)
}

#[test]
fn expansion() {
    for (text, value) in [
        ("a$x-${x}b", "avalue-valueb"),
        ("$nothing.", "."),
        ("'$x'", "$x"),
        ("\"$x \\\"q\\\" \\$x \\n\"", "value \"q\" $x \\n"),
        ("\\$x", "$x"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$xy$x", "value"),
        ("${u:-d}${e:-d}${e-d}${x:-d}", "ddvalue"),
        ("${u:+d}${e:+d}${e+d}${x:+d}", "dd"),
        ("${u:-${x}}", "value"),
        ("${u:-'a b'}", "a b"),
        ("${p#*/}", "b/c.tar.gz"),
        ("${p##*/}", "c.tar.gz"),
        ("${p%.*}", "a/b/c.tar"),
        ("${p%%.*}", "a/b/c"),
        ("${p%/*}", "a/b"),
        ("${p#nothing}", "a/b/c.tar.gz"),
        ("${p/\\//_}", "a_b/c.tar.gz"),
        ("${p//\\//_}", "a_b_c.tar.gz"),
        ("${s/foo/x}", "xfoo*bar"),
        ("${s//foo/x}", "xx*bar"),
        ("${s/\\*/x}", "foofooxbar"),
        ("${s%'*bar'}", "foofoo"),
        ("${s/f??/}", "foo*bar"),
        ("a\\ b", "a b"),
        ("${x:?no}", "value"),
        ("$1$@", ""),
        ("", ""),
    ] {
        assert_eq!(expand(text).as_deref(), Ok(value), "{text}");
    }
    for (text, why) in [
        ("${x", "missing '}'"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${x:=y}", "unsupported modifier (:=)"),
        ("${x^}", "unsupported modifier (^)"),
        ("'a", "matching single-quote"),
        ("\"a", "matching double-quote"),
        ("${u:?is needed}", "u: is needed"),
        ("${u?}", "u: is not allowed to be unset"),
        ("${e:?}", "e: is not allowed to be empty"),
        ("${x/a", "missing"),
    ] {
        let got = expand(text).unwrap_err();
        assert!(got.contains(why), "{text}: {got}");
    }
    assert!(expand(&"${u:-".repeat(1000)).is_err());
    let words = Lexer::new('\\').words("$two \"$two\" a\\ b ''", &|_| Some("1 2".into())).unwrap();
    assert_eq!(words, ["1", "2", "1 2", "a b", ""]);
    let text = Lexer::new('\\').text("it's \"$x\" \\$x \\n ${u:-'d'}\n", &|n| (n == "x").then(|| "v".into()));
    assert_eq!(text.as_deref(), Ok("it's \"v\" $x \\n d\n"));
    let long = "x".repeat(1 << 19);
    assert!(Lexer::new('\\').word("$a$a$a", &|_| Some(long.clone())).unwrap_err().contains("1 MiB"));
}

#[test]
fn arguments_have_their_scope() {
    let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() };
    let given = BTreeMap::from([
        ("A".to_string(), Some("given".to_string())),
        ("B".into(), None),
        ("HTTP_PROXY".into(), Some("http://p".into())),
        ("unused".into(), Some("x".into())),
    ]);
    let mut args = BuildArgs::new(given, &amd64, &amd64);
    args.declare_meta("A", Some("default".into()));
    args.declare_meta("M", Some("meta".into()));
    args.declare_meta("TARGETARCH", None);
    assert_eq!(args.meta("A").as_deref(), Some("given"));
    assert_eq!(args.meta("M").as_deref(), Some("meta"));
    assert_eq!(args.meta("TARGETARCH").as_deref(), Some("amd64"));
    assert_eq!(args.meta("BUILDPLATFORM").as_deref(), Some("linux/amd64"));
    args.begin_stage();
    let seen = |args: &BuildArgs, env: &[String]| args.visible(env).into_iter().collect::<Vec<_>>();
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    assert_eq!(seen(&args, &[]), [pair("HTTP_PROXY", "http://p")], "a stage declares for itself");
    for (name, default) in [("A", None), ("B", Some("b")), ("M", None), ("TARGETOS", None), ("none", None)] {
        args.declare(name, default.map(str::to_owned));
    }
    let all = [
        pair("A", "given"),
        pair("B", "b"),
        pair("HTTP_PROXY", "http://p"),
        pair("M", "meta"),
        pair("TARGETOS", "linux"),
    ];
    assert_eq!(seen(&args, &[]), all);
    assert_eq!(seen(&args, &["A=env".into(), "B=".into(), "M=x".into()]), [all[2].clone(), all[4].clone()]);
    assert!(args.counts("A") && !args.counts("HTTP_PROXY"));
    assert_eq!(args.unused(), ["unused"]);
    args.declare("HTTP_PROXY", None);
    assert!(args.counts("HTTP_PROXY"));
}

#[test]
fn ignored_paths() {
    let text = "# comment\n*.log\n/build\n!build/keep\n**/node_modules\ntemp?\na/**/z\n./x/../y\n[cd]1\n\n";
    let ignore = Ignore::parse(text).unwrap();
    for (path, out) in [
        ("x.log", true),
        ("d/x.log", false),
        ("build", true),
        ("build/a/b", true),
        ("build/keep", false),
        ("build/keep/b", false),
        ("node_modules", true),
        ("a/b/node_modules/c", true),
        ("temp1", true),
        ("temp", false),
        ("a/z", true),
        ("a/b/c/z", true),
        ("y", true),
        ("c1", true),
        ("e1", false),
        ("# comment", false),
    ] {
        assert_eq!(ignore.leaves_out(path), out, "{path}");
    }
    let all = Ignore::parse("*\n!src\n!*.md\nREADME.md").unwrap();
    assert!(
        all.leaves_out("x")
            && !all.leaves_out("src/a")
            && !all.leaves_out("b.md")
            && all.leaves_out("README.md")
    );
    assert!(Ignore::parse("**").unwrap().leaves_out("a/b"));
    assert!(Ignore::parse("[a").is_err() && Ignore::parse("!").is_err());
    assert!(Ignore::parse("\\!a").unwrap().leaves_out("!a"));
}

#[test]
fn globs_are_gos() {
    for (pattern, name, fits) in [
        ("*.go", "a.go", true),
        ("*.go", "a.goo", false),
        ("a?c", "abc", true),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("*a*b*", "xxaxxbxx", true),
        ("*", "", true),
        ("", "", true),
    ] {
        assert_eq!(glob::matches(pattern, name), Ok(fits), "{pattern} {name}");
    }
    assert!(glob::matches("[", "a").is_err() && glob::matches("[]", "a").is_err());
    assert!(glob::matches("a\\", "a").is_err());
    assert!(glob::is_pattern("a*") && !glob::is_pattern("a\\*") && !glob::is_pattern("a"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "(FROM a\n)?([A-Z]{2,6}|RUN|COPY|ENV|ARG|HEALTHCHECK|ONBUILD|#)?[ -~\\\\\n\t<$'\"{}=]{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&format!("FROM a\n{text}"));
        let _ = Ignore::parse(&text).map(|i| i.leaves_out("a/b"));
        let _ = glob::matches(&text, "name");
    }

    #[test]
    fn any_word_is_expanded_or_refused(text in "[ -~\\\\${}:/#%'\"*?]{0,80}") {
        let _ = Lexer::new('\\').word(&text, &|n| (n.len() < 3).then(|| "a.b*c".into()));
        let _ = Lexer::new('`').words(&text, &|_| Some("a b".into()));
    }

    /// What is quoted comes out as it was.
    #[test]
    fn quotes_protect(text in "[ -&(-~]{0,40}") {
        prop_assert_eq!(Lexer::new('\\').word(&format!("'{text}'"), &|_| Some("no".into())), Ok(text));
    }
}
