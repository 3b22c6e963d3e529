//! A recipe: the part of the Dockerfile language that our images need.

use std::path::Path;
use std::{fs, mem};

use anyhow::{Context, Result, bail};

/// One image's Dockerfile.
pub struct Recipe {
    /// The folder's name, by which `FROM` of other recipes names it.
    pub name: String,
    /// References the image gets: `docker.io/library/debian:trixie`.
    pub references: Vec<String>,
    /// The parent recipe; `None` is `FROM scratch`.
    pub parent: Option<String>,
    pub steps: Vec<Step>,
    /// The Dockerfile as written, for the cache key.
    pub text: String,
}

/// An instruction after `FROM`, with its line as written for the image's history.
pub struct Step {
    pub line: String,
    pub action: Action,
}

pub enum Action {
    /// `ADD rootfs.tar /`: what `bootstrap` made.
    AddRootfs,
    Copy {
        from_programs: bool,
        source: String,
        target: String,
    },
    Run {
        caches: Vec<String>,
        script: String,
    },
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Expose(Vec<String>),
    Volume(Vec<String>),
    Cmd(Vec<String>),
    Entrypoint(Vec<String>),
    Workdir(String),
    User(String),
    StopSignal(String),
}

/// Reads every recipe under `folder`, parents before children.
pub fn all(folder: &Path) -> Result<Vec<Recipe>> {
    let mut waiting = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path().join("Dockerfile");
        if path.exists() {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            waiting.push(parse(&name, text).with_context(|| path.display().to_string())?);
        }
    }
    waiting.sort_by(|a, b| a.name.cmp(&b.name));
    parents_first(waiting)
}

fn parents_first(mut waiting: Vec<Recipe>) -> Result<Vec<Recipe>> {
    let mut sorted: Vec<Recipe> = Vec::new();
    while !waiting.is_empty() {
        let before = sorted.len();
        for recipe in mem::take(&mut waiting) {
            let ready = recipe.parent.as_ref().is_none_or(|name| sorted.iter().any(|one| one.name == *name));
            if ready { sorted.push(recipe) } else { waiting.push(recipe) }
        }
        if sorted.len() == before {
            let names: Vec<&str> = waiting.iter().map(|recipe| recipe.name.as_str()).collect();
            bail!("no recipe for the parent of {}", names.join(", "));
        }
    }
    Ok(sorted)
}

fn parse(name: &str, text: String) -> Result<Recipe> {
    let mut recipe =
        Recipe { name: name.to_owned(), references: Vec::new(), parent: None, steps: Vec::new(), text };
    let text = recipe.text.clone();
    if let Some(line) = text.lines().find_map(|line| line.strip_prefix("# names:")) {
        recipe.references = line.split_whitespace().map(full_name).collect();
    }
    for line in logical_lines(&text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let rest = rest.trim();
        match word {
            "FROM" => recipe.parent = (rest != "scratch").then(|| rest.to_owned()),
            _ => {
                let action = action(word, rest).with_context(|| format!("`{line}`"))?;
                recipe.steps.push(Step { line: line.clone(), action });
            }
        }
    }
    if recipe.references.is_empty() {
        bail!("a line `# names: NAME[:TAG]…` is missing");
    }
    Ok(recipe)
}

/// `nginx` → `docker.io/library/nginx:latest`, as Docker reads names.
fn full_name(name: &str) -> String {
    let tagged = if name.contains(':') { name.to_owned() } else { format!("{name}:latest") };
    if tagged.contains('/') { format!("docker.io/{tagged}") } else { format!("docker.io/library/{tagged}") }
}

/// Joins lines that end with a backslash; drops comments and empty lines.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        if let Some(begun) = line.strip_suffix('\\') {
            open.push_str(begun);
        } else {
            open.push_str(line);
            lines.push(mem::take(&mut open).trim().to_owned());
        }
    }
    lines
}

fn action(word: &str, rest: &str) -> Result<Action> {
    Ok(match word {
        "ADD" if rest == "rootfs.tar /" => Action::AddRootfs,
        "COPY" => copy(rest)?,
        "RUN" => run(rest),
        "ENV" => Action::Env(pairs(rest)?),
        "LABEL" => Action::Label(pairs(rest)?),
        "EXPOSE" => Action::Expose(rest.split_whitespace().map(port).collect()),
        "VOLUME" => Action::Volume(words(rest)?),
        "CMD" => Action::Cmd(words(rest)?),
        "ENTRYPOINT" => Action::Entrypoint(words(rest)?),
        "WORKDIR" => Action::Workdir(rest.to_owned()),
        "USER" => Action::User(rest.to_owned()),
        "STOPSIGNAL" => Action::StopSignal(rest.to_owned()),
        _ => bail!("not an instruction that recipes may use"),
    })
}

fn copy(rest: &str) -> Result<Action> {
    let from_programs = rest.starts_with("--from=programs ");
    let rest = rest.strip_prefix("--from=programs ").unwrap_or(rest).trim();
    let (source, target) = rest.split_once(' ').context("COPY takes a source and a target")?;
    Ok(Action::Copy { from_programs, source: source.to_owned(), target: target.trim().to_owned() })
}

fn run(mut rest: &str) -> Action {
    let mut caches = Vec::new();
    while let Some(after) = rest.strip_prefix("--mount=type=cache,target=") {
        let (target, script) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        caches.push(target.to_owned());
        rest = script.trim_start();
    }
    Action::Run { caches, script: rest.to_owned() }
}

/// The exec form: a JSON array.
fn words(rest: &str) -> Result<Vec<String>> {
    serde_json::from_str(rest).context("write it as a JSON array")
}

fn pairs(rest: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').context("KEY=VALUE is needed")?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').context("a quote is not closed")?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        pairs.push((key.to_owned(), value.to_owned()));
        rest = next.trim_start();
    }
    Ok(pairs)
}

fn port(word: &str) -> String {
    if word.contains('/') { word.to_owned() } else { format!("{word}/tcp") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_read_as_docker_reads_it() {
        let text = "# names: web web:1 drydock/web\nFROM debian\nRUN --mount=type=cache,target=/var/cache a && \\\n    b\nENV A=1 B=\"two words\"\nEXPOSE 80 53/udp\nCMD [\"web\", \"-f\"]\n";
        let recipe = parse("web", text.to_owned()).unwrap();
        assert_eq!(recipe.parent.as_deref(), Some("debian"));
        assert_eq!(
            recipe.references,
            ["docker.io/library/web:latest", "docker.io/library/web:1", "docker.io/drydock/web:latest"]
        );
        assert!(matches!(&recipe.steps[0].action, Action::Run { caches, script }
            if caches == &["/var/cache"] && script == "a &&     b"));
        assert!(matches!(&recipe.steps[1].action, Action::Env(pairs) if pairs[1].1 == "two words"));
        assert!(matches!(&recipe.steps[2].action, Action::Expose(ports) if ports == &["80/tcp", "53/udp"]));
    }

    #[test]
    fn children_wait_for_their_parents() {
        let recipe =
            |name: &str, parent: &str| parse(name, format!("# names: {name}\nFROM {parent}\n")).unwrap();
        let sorted = parents_first(vec![recipe("a", "b"), recipe("b", "c"), recipe("c", "scratch")]).unwrap();
        assert_eq!(sorted.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
        assert!(parents_first(vec![recipe("a", "missing")]).is_err());
    }
}
