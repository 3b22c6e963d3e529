//! Who may be named in an exec, and what environment programs begin with.

use std::path::Path;
use std::process::Command;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

impl Account {
    pub fn root() -> Self {
        Self { name: "root".to_owned(), uid: 0, gid: 0, groups: vec![0], home: "/root".to_owned() }
    }

    /// By name or numeric id, from the texts of passwd(5) and group(5). A numeric id needs no entry.
    pub fn find(wanted: &str, passwd: &str, group: &str) -> Option<Self> {
        let number = wanted.parse::<u32>().ok();
        let mut account = passwd
            .lines()
            .filter_map(parse_entry)
            .find(|account| account.name == wanted || Some(account.uid) == number)
            .or_else(|| number.map(nameless))?;
        let memberships = group.lines().filter_map(|line| membership(line, &account.name));
        account.groups = std::iter::once(account.gid).chain(memberships).collect();
        account.groups.sort_unstable();
        account.groups.dedup();
        Some(account)
    }
}

fn nameless(uid: u32) -> Account {
    Account { name: uid.to_string(), uid, gid: uid, groups: Vec::new(), home: "/".to_owned() }
}

/// `name:password:uid:gid:comment:home:shell`
fn parse_entry(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let mut fields = fields.skip(1);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    Some(Account { name, uid, gid, groups: Vec::new(), home })
}

/// The id of a group line `name:password:gid:member,member`, if `name` is a member.
fn membership(line: &str, name: &str) -> Option<u32> {
    let mut fields = line.split(':').skip(2);
    let gid = fields.next()?.parse().ok()?;
    fields.next()?.split(',').any(|member| member == name).then_some(gid)
}

/// A program with the environment of `account`, in its home.
pub fn program(program: &str, account: &Account) -> Command {
    let mut command = Command::new(program);
    for own in ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"] {
        command.env_remove(own);
    }
    if std::env::var_os("PATH").is_none() {
        command.env("PATH", PATH);
    }
    command.env("HOME", &account.home).env("USER", &account.name).env("LOGNAME", &account.name);
    command.env("LANG", "C.UTF-8");
    command.current_dir(if Path::new(&account.home).is_dir() { &account.home } else { "/" });
    command
}

/// What a terminal runs: root's login shell.
pub fn login_shell() -> Command {
    let shell = ["/bin/bash", "/bin/sh"].into_iter().find(|shell| Path::new(shell).exists());
    let shell = shell.unwrap_or("/bin/sh");
    let mut command = program(shell, &Account::root());
    command.arg("-l").env("SHELL", shell).env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:100::/home/ada:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\ndocker:x:999:ada,bob\nsudo:x:27:bob\n";

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let ada = Account {
            name: "ada".to_owned(),
            uid: 1000,
            gid: 100,
            groups: vec![100, 999],
            home: "/home/ada".to_owned(),
        };
        assert_eq!(Account::find("ada", PASSWD, GROUP), Some(ada.clone()));
        assert_eq!(Account::find("1000", PASSWD, GROUP), Some(ada));
        assert_eq!(Account::find("root", PASSWD, GROUP), Some(Account::root()));
        assert_eq!(Account::find("nobody", PASSWD, GROUP), None);
        assert_eq!(Account::find("4242", PASSWD, GROUP).map(|account| account.gid), Some(4242));
    }
}
