use std::time::Duration;

use super::*;
use crate::lab::{Check, File, Node, Run, Solve, Wait};

const HEAD: &str = "---\ntitle: T\nsummary: S\nminutes: 5\nnodes: [node1, node2]\n---\n";

fn lab(body: &str) -> Lab {
    parse("demo", &format!("{HEAD}{body}")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn kinds(body: &str) -> Vec<Kind> {
    let mut lab = lab(&format!("## Step\n\n{body}"));
    lab.steps.remove(0).blocks.into_iter().map(|block| block.kind).collect()
}

/// The problems of a step with `body`, lines counted from the step's heading (1).
fn problems(body: &str) -> Vec<String> {
    let text = format!("{HEAD}## Step\n{body}");
    let before = HEAD.lines().count() as u32;
    let found = parse("demo", &text).err().unwrap_or_default();
    found.iter().map(|problem| format!("{}: {}", problem.line - before, problem.fault)).collect()
}

#[test]
fn front_matter_describes_the_lab() {
    let text = "---\ntitle: Nodes\nsummary: Two.\nlevel: advanced\nminutes: 9\ntags: [a, b]\nnodes:\n  - node1\n  - name: node2\n    image: other\n    swarm: manager\n---\n## One\n";
    let lab = parse("nodes", text).unwrap();
    assert_eq!((lab.id.as_str(), lab.title.as_str(), lab.minutes), ("nodes", "Nodes", 9));
    assert_eq!((lab.level.as_str(), lab.tags), ("advanced", vec!["a".to_owned(), "b".to_owned()]));
    let node = |hostname: &str, image: &str, swarm| Node {
        hostname: hostname.to_owned(),
        image: image.to_owned(),
        swarm,
    };
    assert_eq!(lab.nodes, [node("node1", "", None), node("node2", "other", Some(Role::Manager))]);
}

#[test]
fn wrong_front_matter_is_named_with_its_line() {
    for (text, problem) in [
        ("# Lab\n", "1: the file begins with front matter between two `---` lines"),
        ("---\ntitle: T\n", "1: the file begins with front matter between two `---` lines"),
        (
            "---\ntitle: T\nsummary: S\nminutes: 5\nlevel: easy\n---\n## A\n",
            "1: `easy` is not a level: beginner, intermediate or advanced",
        ),
        (
            "---\ntitle: T\nsummary: S\nminutes: 5\nnodes: [web]\n---\n## A\n",
            "1: `web` is not a node's name: node1, node2, … in order",
        ),
        (
            "---\ntitle: T\nsummary: S\nminutes: 5\nnodes: [{name: node1, swarm: worker}]\n---\n## A\n",
            "1: the swarm has no manager: `swarm: manager`",
        ),
        ("---\ntitle: T\nsummary: S\nminutes: 5\n---\ntext\n", "7: the lab has no `## ` step"),
    ] {
        let problems = parse("x", text).unwrap_err();
        assert_eq!(problems[0].to_string(), problem);
    }
    let typo = parse("x", "---\ntitle: T\nsummary: S\nminuts: 5\n---\n## A\n").unwrap_err();
    assert_eq!(typo[0].line, 4);
    assert!(typo[0].to_string().contains("minuts"), "{typo:?}");
}

#[test]
fn headings_begin_steps_and_the_text_before_them_is_the_introduction() {
    let lab = lab("# T\n\nHello.\n\n## First things {gated}\n\nText.\n\n### Not a step\n\n## Last {#end}\n");
    let steps: Vec<(&str, &str, bool)> =
        lab.steps.iter().map(|step| (step.id.as_str(), step.title.as_str(), step.gated)).collect();
    assert_eq!(
        steps,
        [
            ("introduction", "Introduction", false),
            ("first-things", "First things", true),
            ("end", "Last", false),
        ]
    );
    assert_eq!(lab.steps[0].blocks[0].kind, Kind::Prose("Hello.".to_owned()));
    assert_eq!(lab.steps[1].blocks[0].kind, Kind::Prose("Text.\n\n### Not a step".to_owned()));
    assert_eq!(lab.steps[1].line, 11);
}

#[test]
fn run_blocks_say_where_and_how_they_are_typed() {
    let run = Run {
        node: "node1".to_owned(),
        terminal: 1,
        text: String::new(),
        interrupt: false,
        enter: true,
        capture: None,
        wait: Wait::Prompt,
    };
    for (block, expected) in [
        ("```run\ndocker ps\n```", Run { text: "docker ps".to_owned(), ..run.clone() }),
        (
            "```run node=node2 terminal=3 capture=TOKEN wait=nothing\na\nb\n```",
            Run {
                node: "node2".to_owned(),
                terminal: 3,
                text: "a\nb".to_owned(),
                capture: Some("TOKEN".to_owned()),
                wait: Wait::Nothing,
                ..run.clone()
            },
        ),
        (
            "```run wait=\"GET / \"\ndocker logs -f web\n```",
            Run {
                text: "docker logs -f web".to_owned(),
                wait: Wait::Output("GET / ".to_owned()),
                ..run.clone()
            },
        ),
        ("```run interrupt\n```", Run { interrupt: true, enter: false, ..run.clone() }),
        (
            "```run input wait=prompt\n^P^q\n```",
            Run { text: "\x10\x11".to_owned(), enter: false, ..run.clone() },
        ),
    ] {
        assert_eq!(kinds(block), [Kind::Run(expected)], "{block}");
    }
}

#[test]
fn other_fences_become_their_blocks_and_plain_ones_stay_code() {
    let check = Check {
        title: "It runs".to_owned(),
        node: "node1".to_owned(),
        continuous: true,
        limit: Duration::from_secs(10),
        script: "true\n".to_owned(),
    };
    let solve = Solve { node: "node1".to_owned(), terminal: None, script: "x\n".to_owned() };
    for (block, expected) in [
        ("```check title=\"It runs\"\ntrue\n```", Kind::Check(check.clone())),
        (
            "```check title=\"It runs\" on-demand node=node2 timeout=3\ntrue\n```",
            Kind::Check(Check {
                continuous: false,
                node: "node2".to_owned(),
                limit: Duration::from_secs(3),
                ..check
            }),
        ),
        (
            "```file path=/root/x mode=755\n#!/bin/sh\n```",
            Kind::File(File {
                node: "node1".to_owned(),
                path: "/root/x".to_owned(),
                mode: 0o755,
                text: "#!/bin/sh\n".to_owned(),
            }),
        ),
        ("```solve\nx\n```", Kind::Solve(solve.clone())),
        ("```solve terminal=2\nx\n```", Kind::Solve(Solve { terminal: Some(2), ..solve })),
        (
            "````hint title=\"Where?\"\nHere:\n```\nls\n```\n````",
            Kind::Hint { title: "Where?".to_owned(), markdown: "Here:\n```\nls\n```\n".to_owned() },
        ),
        ("```yaml\na: b\n```", Kind::Code { language: "yaml".to_owned(), text: "a: b\n".to_owned() }),
        ("```\nout\n```", Kind::Code { language: String::new(), text: "out\n".to_owned() }),
    ] {
        assert_eq!(kinds(block), [expected], "{block}");
    }
}

#[test]
fn a_list_of_marked_items_is_a_quiz_below_its_question() {
    let blocks = kinds(
        "Before.\n\nWhich one?\n\n- ( ) `a`\n- (x) b\n\nWhich ones?\n\n1. [x] c\n2. [ ] d\n3. [x] e\n\n- plain\n- [link](https://x.example)\n",
    );
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(blocks[0], Kind::Prose("Before.".to_owned()));
    let single = Answer::Single { choices: texts(&["`a`", "b"]), right: 1 };
    assert_eq!(blocks[1], Kind::Quiz(Quiz { question: "Which one?".to_owned(), answer: single }));
    let multiple = Answer::Multiple { choices: texts(&["c", "d", "e"]), right: vec![0, 2] };
    assert_eq!(blocks[2], Kind::Quiz(Quiz { question: "Which ones?".to_owned(), answer: multiple }));
    assert_eq!(blocks[3], Kind::Prose("- plain\n- [link](https://x.example)".to_owned()));
}

#[test]
fn a_typed_answer_is_a_pattern_with_an_example() {
    let blocks = kinds("Its address?\n\n```answer example=172.17.0.2\n172\\.17\\.0\\.\\d+\n```\n");
    let Kind::Quiz(quiz) = &blocks[0] else { panic!("{blocks:?}") };
    for (given, right) in [("172.17.0.2", true), (" 172.17.0.33 ", true), ("1172.17.0.2", false), ("", false)]
    {
        assert_eq!(quiz.answer.accepts(&[given.to_owned()]), right, "{given}");
    }
}

#[test]
fn answers_are_sets_of_indices() {
    let multiple = Answer::Multiple { choices: vec![String::new(); 3], right: vec![0, 2] };
    for (given, right) in [
        (&["0", "2"][..], true),
        (&["2", "0"], true),
        (&["0"], false),
        (&["0", "1", "2"], false),
        (&["x"], false),
        (&[], false),
    ] {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(multiple.accepts(&given), right, "{given:?}");
    }
}

#[test]
fn port_links_become_blocks_after_or_instead_of_their_paragraph() {
    let port =
        |label: &str| Kind::Port(Port { node: "node1".to_owned(), port: 8080, label: label.to_owned() });
    assert_eq!(kinds("[Open `nginx`](port:node1:8080)\n"), [port("Open nginx")]);
    let blocks = kinds("Now [open it](port:node1:8080) and look.\n");
    assert_eq!(blocks[1], port("open it"));
    assert!(matches!(&blocks[0], Kind::Prose(text) if text.starts_with("Now [open it]")));
}

#[test]
fn init_scripts_stand_before_the_first_step_and_may_be_hidden() {
    let lab = lab("```init hidden\na\n```\n\n```init node=node2\nb\n```\n\n## Step\n");
    let scripts: Vec<(&str, &str)> =
        lab.init.iter().map(|init| (init.node.as_str(), init.script.as_str())).collect();
    assert_eq!(scripts, [("node1", "a\n"), ("node2", "b\n")]);
    assert_eq!(lab.steps[0].blocks.len(), 1, "only the visible one is shown");
}

#[test]
fn mistakes_are_found_with_their_lines() {
    for (body, expected) in [
        ("\n```run node=node3\nls\n```\n", "3: the lab has no node `node3`"),
        ("\n```run termnal=2\nls\n```\n", "3: `run` knows no attribute `termnal`"),
        ("```check\ntrue\n```\n", "2: `check` wants `title=…`"),
        ("```check title=x\n\n```\n", "2: the block is empty"),
        ("```run\n```\n", "2: the block is empty"),
        ("```file\nx\n```\n", "2: `file` wants `path=…`"),
        ("```file path=x\nx\n```\n", "2: `x` is not a value of `path`"),
        ("```file path=/x mode=9\nx\n```\n", "2: `9` is not a value of `mode`"),
        (
            "```rnu node=node1\nls\n```\n",
            "2: `rnu` is not a kind of block, and a code fence takes a language alone",
        ),
        ("\n\n```run\nls\n", "4: the fence is never closed"),
        ("```init\nx\n```\n", "2: `init` stands before the first step"),
        ("- (x) a\n- ( ) b\n", "2: a quiz stands below a paragraph that asks"),
        ("Q?\n\n- ( ) a\n- ( ) b\n", "4: no answer is marked right"),
        ("Q?\n\n- (x) a\n- (x) b\n", "4: only one answer of a `( )` quiz is right; use `[ ]` for several"),
        (
            "Q?\n\n- (x) a\n- b\n",
            "4: every item of a quiz begins with `( )` or `(x)`, or every one with `[ ]` or `[x]`",
        ),
        ("Q?\n\n```answer example=b\na\n```\n", "4: the example `b` does not match the pattern"),
        ("[x](port:node1)\n", "2: `port:node1` is not a port link: `port:node1:8080`"),
        ("[x](port:node7:80)\n", "2: the lab has no node `node7`"),
        ("## Step\n", "2: the id `step` is taken already"),
        (
            "## Two {.gated}\n\n## Three {open}\n",
            "4: a step's heading takes `{gated}` and `{#id}`, not `open`",
        ),
        ("```run id=a\nx\n```\n\n```run id=a\nx\n```\n", "6: the id `a` is taken already"),
        ("```run capture=token\nx\n```\n", "2: `token` is not a value of `capture`"),
        ("![x](y.png)\n", "2: images are not shown in the lab pane"),
    ] {
        assert_eq!(problems(body).first().map(String::as_str), Some(expected), "{body}");
    }
}

#[test]
fn nothing_that_a_person_can_write_makes_the_parser_panic() {
    let whole = format!(
        "{HEAD}x\n\n## A {{gated}}\n\n```run a=\"é\\\n- (x) ü\n\n> ```check\n\n[a](port:b:c)\n\n1. [x] z\n"
    );
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let _ = parse("x", &whole[..end]);
        let _ = parse("x", &format!("{HEAD}{}", &whole[end..]));
    }
}
