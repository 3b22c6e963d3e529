//! The labs of this repository.

use std::path::Path;

use drydock_labs::library::{Library, files, read};
use drydock_labs::lint::lint;
use drydock_labs::present;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../labs"))
}

#[test]
fn every_shipped_lab_is_without_fault() {
    let files = files(folder()).unwrap();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let lab = read(&file).unwrap_or_else(|error| panic!("{error}"));
        let doubts: Vec<String> = lint(&lab).iter().map(ToString::to_string).collect();
        assert!(doubts.is_empty(), "{}: {doubts:?}", file.display());
    }
}

#[test]
fn the_library_offers_each_by_its_folders_name() {
    let (library, broken) = Library::open(folder());
    assert!(broken.is_empty(), "{broken:?}");
    let lab = library.get("first-containers").expect("a shipped lab");
    let shown = present::lab(lab);
    assert_eq!(shown.nodes, ["node1"]);
    assert_eq!(shown.contents.len() as u32, shown.summary.steps, "as many as its page counts");
}

#[test]
fn a_broken_lab_is_named_and_the_others_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    let good = "---\ntitle: T\nsummary: S\nminutes: 1\n---\n## One\n";
    for (name, text) in [("good", good), ("broken", "no front matter\n")] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("lab.md"), text).unwrap();
    }
    let (library, broken) = Library::open(folder.path());
    assert_eq!(library.all().len(), 1);
    assert!(
        broken[0].to_string().ends_with(
            "broken/lab.md has mistakes:\n  line 1: the file begins with front matter between two `---` lines"
        ),
        "{}",
        broken[0]
    );
}

#[test]
fn labs_of_other_platforms_open_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let post = "---\ntitle: A post\nterms: 2\n---\n## One\n\n```.term2\nls\n```\n";
    std::fs::write(folder.path().join("2017-01-28-a-post.markdown"), post).unwrap();
    std::fs::write(folder.path().join("README.md"), "# Not a lab\n").unwrap();
    let scenario = folder.path().join("a-scenario");
    std::fs::create_dir(&scenario).unwrap();
    let index = r#"{"title": "A scenario", "details": {"steps": [{"title": "One", "text": "one.md"}]}}"#;
    std::fs::write(scenario.join("index.json"), index).unwrap();
    std::fs::write(scenario.join("one.md"), "`ls`{{exec}}\n").unwrap();
    let (library, broken) = Library::open(folder.path());
    assert!(broken.is_empty(), "{broken:?}");
    let titles: Vec<(&str, &str)> =
        library.all().iter().map(|lab| (lab.id.as_str(), lab.title.as_str())).collect();
    assert_eq!(titles, [("a-post", "A post"), ("a-scenario", "A scenario")]);
}
