//! `docker top`: the container's processes, as `ps` on the host would show them.

use std::collections::HashSet;
use std::process::Command;

use crate::container::spec::user::read_inside;

/// Titles and rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TopError {
    #[error("start ps")]
    Ps(#[source] std::io::Error),
    #[error("ps: {0}")]
    Refused(String),
    #[error("Couldn't find PID field in ps output")]
    NoPid,
}

/// The default columns of `ps -ef`, read from `/proc`: nodes need no `ps`.
pub fn full(pids: &[i32]) -> Table {
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"].map(str::to_owned).to_vec();
    let boot = boot_time();
    let mut rows: Vec<_> = pids.iter().filter_map(|pid| Some((*pid, row(*pid, boot)?))).collect();
    rows.sort_by_key(|(pid, _)| *pid);
    Table { titles, processes: rows.into_iter().map(|(_, row)| row).collect() }
}

const TICKS_PER_SECOND: u64 = 100;

fn row(pid: i32, boot: i64) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may hold spaces and parentheses; what follows the last one does not.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<i64>().ok()).unwrap_or(0);
    let ticks = (number(11) + number(12)).unsigned_abs();
    let started = boot + number(19) / TICKS_PER_SECOND as i64;
    let elapsed = (time::OffsetDateTime::now_utc().unix_timestamp() - started).max(1).unsigned_abs();
    let used = ticks / TICKS_PER_SECOND;
    Some(vec![
        owner(pid),
        pid.to_string(),
        number(1).to_string(),
        (used * 100 / elapsed).min(99).to_string(),
        clock(started),
        terminal(number(4)),
        format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        command(pid, name),
    ])
}

fn owner(pid: i32) -> String {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata(format!("/proc/{pid}")).map_or(0, |meta| meta.uid());
    let passwd = read_inside(std::path::Path::new("/"), "etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

fn clock(unix: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(unix).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// The controlling terminal's number, in the kernel's packing.
fn terminal(number: i64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    if (136..144).contains(&major) { format!("pts/{minor}") } else { "?".into() }
}

fn command(pid: i32, name: &str) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let line = words.join(" ").trim().to_owned();
    if line.is_empty() { format!("[{name}]") } else { line }
}

fn boot_time() -> i64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

/// Any other columns are the host's own `ps`'s to know.
pub fn by_ps(pids: &[i32], arguments: &str) -> Result<Table, TopError> {
    let output = Command::new("ps").args(arguments.split_whitespace()).output().map_err(TopError::Ps)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(TopError::Refused(said.trim().lines().next().unwrap_or_default().to_owned()));
    }
    select(&String::from_utf8_lossy(&output.stdout), &pids.iter().map(i32::to_string).collect())
}

/// The rows of these processes.
fn select(text: &str, pids: &HashSet<String>) -> Result<Table, TopError> {
    let mut lines = text.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID").ok_or(TopError::NoPid)?;
    let mut processes = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.get(column).is_some_and(|pid| pids.contains(*pid)) {
            let last = titles.len() - 1;
            let mut row: Vec<String> = words.iter().take(last).map(|word| (*word).to_owned()).collect();
            row.push(words.get(last..).unwrap_or_default().join(" "));
            processes.push(row);
        }
    }
    Ok(Table { titles, processes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_selected() {
        let text = "  PID USER COMMAND\n   12 root sh -c true\n   13 web nginx\n";
        let table = select(text, &HashSet::from(["12".to_owned()])).expect("a table");
        assert_eq!(table.processes, [["12", "root", "sh -c true"].map(str::to_owned).to_vec()]);
        assert!(select("USER\nroot\n", &HashSet::new()).is_err());
    }
}
