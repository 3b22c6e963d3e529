//! Programs that images are made with.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a bash script with `arguments` as `$1`…; the output is returned; a failure shows its end.
pub fn script(script: &str, arguments: &[&str]) -> Result<String> {
    output(Command::new("bash").args(["-euo", "pipefail", "-c", script, "bash"]).args(arguments))
}

/// Runs a program; returns its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let end = lines[lines.len().saturating_sub(20)..].join("\n");
        bail!("{} failed ({})\n{end}", command.get_program().display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The sha256 of a file, by the installed program: this one is compiled without optimisation.
pub fn sha256(path: &Path) -> Result<String> {
    let text = output(Command::new("sha256sum").arg(path))?;
    Ok(text.split_whitespace().next().unwrap_or_default().trim_start_matches('\\').to_owned())
}

/// The sha256 of a text.
pub fn sha256_text(text: &str) -> Result<String> {
    let line = script("printf %s \"$1\" | sha256sum", &[text])?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
