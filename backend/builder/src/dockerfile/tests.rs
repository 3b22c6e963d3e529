use super::*;

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The only instruction after `FROM scratch`.
fn one(text: &str) -> Instruction {
    let file = parse(&format!("FROM scratch\n{text}"));
    assert_eq!(file.stages[0].commands.len(), 1, "{text}");
    file.stages[0].commands[0].instruction.clone()
}

fn pairs(list: &[(&str, &str)]) -> Vec<Pair> {
    list.iter().map(|(key, value)| Pair { key: (*key).into(), value: (*value).into() }).collect()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn stages_have_names_platforms_and_positions() {
    let file = parse(
        "# syntax=docker/dockerfile:1\nARG V=1\nFROM --platform=$P alpine:$V AS Build\nRUN x\n\n  FROM\tscratch\nCOPY --from=build /x /\n",
    );
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.arguments.len(), 1);
    let [first, second] = file.stages.as_slice() else { panic!("{file:?}") };
    assert_eq!((first.base.as_str(), first.name.as_deref()), ("alpine:$V", Some("build")));
    assert_eq!(first.platform.as_deref(), Some("$P"));
    assert_eq!(first.code, "FROM --platform=$P alpine:$V AS Build");
    assert_eq!(second.at, Position { line: 6, column: 3 });
    assert_eq!((file.stage("BUILD"), file.stage("1"), file.stage("2")), (Some(0), Some(1), None));
}

#[test]
fn lines_continue_over_comments_and_empty_lines() {
    let file = parse("FROM scratch\nRUN a \\\n  # no\n\n && b \\  \n\t&& c\nCMD x\n");
    assert_eq!(file.stages[0].commands[0].code, "RUN a  && b \t&& c");
    assert_eq!(file.warnings, ["Empty continuation line found in: RUN a  && b \t&& c"]);
    assert_eq!(file.stages[0].commands[1].at.line, 7);
    let doubled = parse("FROM scratch\nRUN a \\\\\nRUN b");
    assert_eq!(doubled.stages[0].commands.len(), 2, "a doubled escape continues nothing");
    let marked = parse("\u{feff}FROM scratch\r\nRUN a\\\r\n b\r\n");
    assert_eq!(marked.stages[0].commands[0].code, "RUN a b");
}

#[test]
fn the_escape_directive_counts_only_at_the_top() {
    let file = parse("#escape=`\nFROM scratch\nRUN a `\n  b\nRUN c\\\nRUN d");
    let codes: Vec<&str> = file.stages[0].commands.iter().map(|command| command.code.as_str()).collect();
    assert_eq!(codes, ["RUN a   b", "RUN c\\", "RUN d"]);
    let late = parse("# a comment\n# escape=`\nFROM scratch\nRUN a \\\n b");
    assert_eq!(late.directives.escape, '\\');
}

#[test]
fn environment_and_labels_have_two_forms() {
    for (text, expected) in [
        ("ENV a b  c", pairs(&[("a", "b  c")])),
        ("ENV a=b c=\"d e\" f=g\\ h", pairs(&[("a", "b"), ("c", "\"d e\""), ("f", "g\\ h")])),
        ("env a=", pairs(&[("a", "")])),
        ("ENV a 'b", pairs(&[("a", "'b")])),
    ] {
        assert_eq!(one(text), Instruction::Env(expected), "{text}");
    }
    assert_eq!(
        one("LABEL \"com.x\"=y z=1"),
        Instruction::Label { pairs: pairs(&[("\"com.x\"", "y"), ("z", "1")]), expand: true }
    );
}

#[test]
fn commands_have_an_exec_and_a_shell_form() {
    let exec = |words: &[&str]| Form::Exec(strings(words));
    let shell = |text: &str| Form::Shell(text.into());
    assert_eq!(one("CMD [\"a\", \"b c\"]"), Instruction::Cmd(exec(&["a", "b c"])));
    assert_eq!(one("CMD [\"a\" \"b\"]"), Instruction::Cmd(shell("[\"a\" \"b\"]")));
    assert_eq!(one("CMD ['a']"), Instruction::Cmd(shell("['a']")));
    assert_eq!(one("CMD []"), Instruction::Cmd(exec(&[])));
    assert_eq!(one("ENTRYPOINT  top -b  "), Instruction::Entrypoint(shell("top -b")));
    assert_eq!(one("SHELL [\"/bin/bash\", \"-c\"]"), Instruction::Shell(strings(&["/bin/bash", "-c"])));
}

#[test]
fn copy_and_add_know_their_flags() {
    let Instruction::Copy(copy) = one(
        "COPY --from=build --chown=1:2 --chmod=755 --link --parents --exclude=*.o --exclude=*.d a \"b\" /dst/",
    ) else {
        panic!()
    };
    assert_eq!(copy.sources, ["a", "\"b\""]);
    assert_eq!((copy.from.as_str(), copy.chown.as_str(), copy.chmod.as_str()), ("build", "1:2", "755"));
    assert!(copy.link && copy.parents);
    assert_eq!((copy.exclude, copy.destination.as_str()), (strings(&["*.o", "*.d"]), "/dst/"));
    let Instruction::Add(add) = one("ADD --checksum=sha256:12 --keep-git-dir=true [\"a b\", \"/c d/\"]")
    else {
        panic!()
    };
    assert_eq!((add.sources, add.destination.as_str()), (strings(&["a b"]), "/c d/"));
    assert!(add.keep_git_dir && add.checksum == "sha256:12");
}

#[test]
fn heredocs_belong_to_their_instruction() {
    let file = parse(
        "FROM scratch\nRUN <<EOF\necho $A\n# kept\nEOF\nCOPY <<-one <<\"two\" /d/\n\tx\n\tone\n1\nonex\none\n$y\ntwo\nCMD z",
    );
    let commands = &file.stages[0].commands;
    let Instruction::Run(run) = &commands[0].instruction else { panic!() };
    assert_eq!(run.heredocs[0].content, "echo $A\n# kept\n");
    assert!(run.heredocs[0].expand);
    let Instruction::Copy(copy) = &commands[1].instruction else { panic!() };
    let inline =
        |name: &str, content: &str, expand| Inline { name: name.into(), content: content.into(), expand };
    assert_eq!(copy.inline, [inline("one", "x\n", true), inline("two", "1\nonex\none\n$y\n", false)]);
    assert_eq!(copy.destination, "/d/");
    assert_eq!(commands[2].at.line, 14);
    // A here-string, and a heredoc in an instruction that has none.
    assert_eq!(parse("FROM scratch\nRUN cat <<< x\nCMD cat <<EOF\nENV a b").stages[0].commands.len(), 3);
    assert_eq!(one("ONBUILD RUN <<EOF\nls\nEOF"), Instruction::Onbuild("RUN <<EOF\nls\nEOF".into()));
}

#[test]
fn run_takes_mounts_network_and_security() {
    let Instruction::Run(run) = one(
        "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none --security=insecure make",
    ) else {
        panic!()
    };
    assert_eq!(run.mounts, ["type=cache,target=/c", "type=tmpfs,target=/t"]);
    assert_eq!((run.network, run.insecure), (Some(Network::None), true));
    assert_eq!(run.form, Form::Shell("make".into()));
}

#[test]
fn mounts_are_checked_as_moby_checks_them() {
    let plain = |text: &str| Ok(text.to_owned());
    let cache =
        mount::parse("type=cache,target=/c,id=x,sharing=locked,mode=0700,uid=5", &plain).expect("a cache");
    assert_eq!((cache.kind, cache.sharing), (mount::MountKind::Cache, mount::Sharing::Locked));
    assert_eq!((cache.mode, cache.uid, cache.read_only), (Some(0o700), Some(5), false));
    let bind = mount::parse("from=build,\"source=/a,b\",target=/x", &plain).expect("a bind");
    assert!(bind.read_only && bind.source == "/a,b" && bind.from == "build");
    for (text, complaint) in [
        ("type=cash,target=/x", "unsupported mount type \"cash\" (did you mean cache?)"),
        ("type=tmpfs,size=lots", "invalid value for size: lots"),
        ("type=bind,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=bind,mode=1", "mode not allowed for \"bind\" type mounts"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=bind,sharing=locked", "invalid cache sharing set for bind mount"),
        ("type=cache,foo", "invalid field 'foo' must be a key=value pair"),
        ("type=cache,targt=/x", "unexpected key 'targt' in 'targt=/x' (did you mean target?)"),
    ] {
        assert_eq!(mount::parse(text, &plain).expect_err(text).to_string(), complaint);
    }
}

#[test]
fn healthchecks_have_times() {
    assert_eq!(
        one("HEALTHCHECK NONE"),
        Instruction::Healthcheck(Healthcheck { test: strings(&["NONE"]), ..Healthcheck::default() })
    );
    let Instruction::Healthcheck(check) =
        one("HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=2 CMD curl -f x || exit 1")
    else {
        panic!()
    };
    assert_eq!(check.test, ["CMD-SHELL", "curl -f x || exit 1"]);
    assert_eq!((check.interval, check.timeout, check.retries), (300_000_000_000, 3_000_000_000, 2));
}

#[test]
fn mistakes_have_a_line_a_column_and_mobys_words() {
    for (text, line, column, complaint) in [
        ("FROM scratch\n  FOOBAR x", 2, 3, "dockerfile parse error on line 2: unknown instruction: FOOBAR"),
        (
            "FROM x\nRUNN y",
            2,
            1,
            "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
        ),
        ("FROM", 1, 1, "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        (
            "FROM a AS 1b",
            1,
            11,
            "dockerfile parse error on line 1: invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        ("RUN x", 1, 1, "no build stage in current context"),
        (
            "FROM x\nCOPY a",
            2,
            1,
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM x\nCOPY \\\n  --frm=y a b",
            3,
            3,
            "dockerfile parse error on line 2: unknown flag: --frm (did you mean from?)",
        ),
        (
            "FROM x\nENV a=b c",
            2,
            9,
            "failed to parse Dockerfile: Syntax error - can't find = in \"c\". Must be of the form: name=value",
        ),
        ("FROM x\nENV a", 2, 1, "failed to parse Dockerfile: ENV must have two arguments"),
        ("FROM x\nENV =b", 2, 1, "dockerfile parse error on line 2: ENV names can not be blank"),
        (
            "FROM x\nCMD [1]",
            2,
            5,
            "failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("FROM x\nRUN <<EOF\nx", 2, 5, "failed to parse Dockerfile: unterminated heredoc"),
        (
            "# escape=x\nFROM x",
            1,
            1,
            "failed to parse Dockerfile: invalid escape token 'x' does not match ` or \\",
        ),
        (
            "#escape=\\\n#escape=\\\nFROM x",
            2,
            1,
            "failed to parse Dockerfile: only one escape parser directive can be used",
        ),
        ("", 1, 1, "failed to parse Dockerfile: file with no instructions"),
        ("# only\n", 1, 1, "failed to parse Dockerfile: file with no instructions"),
        (
            "FROM x\nONBUILD ONBUILD RUN y",
            2,
            9,
            "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        (
            "FROM x\nONBUILD FROM y",
            2,
            9,
            "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger",
        ),
        (
            "FROM x\nSHELL bash -c",
            2,
            1,
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form",
        ),
        (
            "FROM x\nHEALTHCHECK FOO x",
            2,
            13,
            "dockerfile parse error on line 2: Unknown type \"FOO\" in HEALTHCHECK (try CMD)",
        ),
        (
            "FROM x\nHEALTHCHECK --retries=-1 CMD x",
            2,
            13,
            "dockerfile parse error on line 2: --retries cannot be negative (-1)",
        ),
        ("FROM x\nWORKDIR", 2, 1, "dockerfile parse error on line 2: WORKDIR requires exactly one argument"),
        (
            "FROM x\nRUN --network=moon y",
            2,
            5,
            "dockerfile parse error on line 2: invalid network mode \"moon\"",
        ),
        (
            "FROM x\nCOPY --link=maybe a b",
            2,
            6,
            "dockerfile parse error on line 2: expecting boolean value for flag --link, not: maybe",
        ),
    ] {
        let error = Dockerfile::parse(text).expect_err(text);
        assert_eq!(error.to_string(), complaint, "{text}");
        assert_eq!(error.at, Position { line, column }, "{text}");
    }
}

#[test]
fn nothing_that_a_file_can_hold_makes_the_parser_panic() {
    // A small generator of its own: words that mean something here, glued together at random.
    const PIECES: [&str; 48] = [
        "FROM",
        "RUN",
        "COPY",
        "ADD",
        "ENV",
        "ARG",
        "LABEL",
        "ONBUILD",
        "HEALTHCHECK",
        "CMD",
        "VOLUME",
        "SHELL",
        "EXPOSE",
        " ",
        " ",
        " ",
        "\t",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\\",
        "\\\n",
        "`",
        "#",
        "# escape=`\n",
        "=",
        "\"",
        "'",
        "[",
        "]",
        "[\"a\"]",
        "<<",
        "<<-",
        "<<EOF",
        "EOF\n",
        "--",
        "--mount=type=cache,",
        "--from=",
        "${",
        "}",
        "$",
        ":-",
        "é",
        "\u{2003}",
        "\0",
        "AS",
        "5s",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..random() % 24 {
            match random() % 12 {
                0 => bytes.push(random() as u8),
                _ => bytes.extend_from_slice(PIECES[random() as usize % PIECES.len()].as_bytes()),
            }
        }
        let prefix = if round % 2 == 0 { "FROM x\n" } else { "" };
        let text = format!("{prefix}{}", String::from_utf8_lossy(&bytes));
        match Dockerfile::parse(&text) {
            Ok(file) => expand_all(&file),
            Err(error) => {
                let lines = text.split_inclusive('\n').count().max(1);
                assert!(
                    error.at.line >= 1 && error.at.line <= lines && error.at.column >= 1,
                    "{text:?} {error:?}"
                );
            }
        }
    }
}

fn expand_all(file: &Dockerfile) {
    let lex = crate::expand::Lex::new(file.directives.escape);
    for command in file.stages.iter().flat_map(|stage| &stage.commands) {
        let _ = lex.words(&command.code, &|name| Some(format!("<{name}>")));
        if let Instruction::Run(run) = &command.instruction {
            for text in &run.mounts {
                let _ = mount::parse(text, &|word| lex.word(word, &|_| None));
            }
        }
    }
}
