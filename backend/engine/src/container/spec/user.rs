//! `--user` against the image's `/etc/passwd` and `/etc/group`.

use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// Who the process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
}

/// Looks a user up in the root file system `root`. `extra` are `--group-add`'s.
pub fn look_up(root: &Path, user: &str, extra: &[String]) -> Result<Who, UserError> {
    let read = |path| read_inside(root, path).unwrap_or_default();
    resolve(&read("etc/passwd"), &read("etc/group"), user, extra)
}

/// Reads a file as the container would find it: no link leads out of `root`.
pub fn read_inside(root: &Path, path: &str) -> Option<String> {
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    let mut text = String::new();
    // A gigantic passwd is a hostile one.
    std::fs::File::from(file).take(8 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let mut fields = fields.skip(1);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Passwd { name, uid, gid, home: fields.nth(1).unwrap_or("/") })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn resolve(passwd_text: &str, group_text: &str, user: &str, extra: &[String]) -> Result<Who, UserError> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user);
    let entry = passwd(passwd_text).find(|entry| entry.name == user || Some(Ok(entry.uid)) == number);
    let mut who = match (&entry, number.transpose()?) {
        (Some(entry), _) => {
            Who { uid: entry.uid, gid: entry.gid, home: entry.home.to_owned(), ..Who::default() }
        }
        (None, Some(uid)) => Who { uid, home: "/".into(), ..Who::default() },
        (None, None) => return Err(UserError::User(user.to_owned())),
    };
    match group.filter(|group| !group.is_empty()) {
        Some(group) => who.gid = group_number(group_text, group)?,
        None => {
            let name = entry.as_ref().map(|entry| entry.name);
            let member = |group: &Group<'_>| group.members.split(',').any(|member| Some(member) == name);
            who.groups = groups(group_text).filter(member).map(|group| group.gid).collect();
        }
    }
    // As moby has it: files of the first group stay out of reach of a process that drops it.
    who.groups.insert(0, who.gid);
    for name in extra {
        who.groups.push(group_number(group_text, name)?);
    }
    if who.home.is_empty() {
        who.home = "/".into();
    }
    Ok(who)
}

fn group_number(text: &str, name: &str) -> Result<u32, UserError> {
    let number = id(name);
    let entry = groups(text).find(|entry| entry.name == name || Some(Ok(entry.gid)) == number);
    match entry {
        Some(entry) => Ok(entry.gid),
        None => number.unwrap_or_else(|| Err(UserError::Group(name.to_owned()))),
    }
}

/// A number, if it is one; not every number is an id.
fn id(text: &str) -> Option<Result<u32, UserError>> {
    const MOST: i64 = i32::MAX as i64;
    let number = text.parse::<i64>().ok()?;
    Some(if (0..=MOST).contains(&number) { Ok(number as u32) } else { Err(UserError::Range) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nwheel:x:10:root,web\n";

    #[test]
    fn names_and_numbers_are_found() {
        let cases = [
            ("", 0, 0, vec![0, 10], "/root"),
            ("web", 33, 33, vec![33, 10], "/var/www"),
            ("33", 33, 33, vec![33, 10], "/var/www"),
            ("web:wheel", 33, 10, vec![10], "/var/www"),
            ("1234", 1234, 0, vec![0], "/"),
            ("1234:5678", 1234, 5678, vec![5678], "/"),
        ];
        for (user, uid, gid, groups, home) in cases {
            let who = resolve(PASSWD, GROUP, user, &[]).expect(user);
            assert_eq!(who, Who { uid, gid, groups, home: home.into() }, "{user}");
        }
    }

    #[test]
    fn an_unknown_name_is_named_in_the_error() {
        let error = resolve(PASSWD, GROUP, "nobody", &[]).expect_err("no such user");
        assert_eq!(error.to_string(), "unable to find user nobody: no matching entries in passwd file");
        assert!(resolve(PASSWD, GROUP, "web:none", &[]).is_err());
        assert_eq!(resolve(PASSWD, GROUP, "web", &["77".into()]).expect("web").groups, [33, 10, 77]);
        for number in ["-1", "2147483648", "4294967296"] {
            assert_eq!(resolve(PASSWD, GROUP, number, &[]), Err(UserError::Range), "{number}");
        }
    }
}
