//! `--chown=user:group` by the image's own `/etc/passwd` and `/etc/group`.

use std::io::Read;
use std::os::fd::BorrowedFd;

use crate::tree::{self, Last, Missing};

pub use crate::tree::Owner;

/// Nobody, or no group, is called so.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    #[error("can't find uid for user {0}: no such user: {0}")]
    User(String),
    #[error("can't find gid for group {0}: no such group: {0}")]
    Group(String),
}

/// A user, and a group or the group called like the user.
pub fn look_up(root: BorrowedFd<'_>, text: &str) -> Result<Owner, OwnerError> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let uid = number(root, "etc/passwd", user).ok_or_else(|| OwnerError::User(user.to_owned()))?;
    let gid = number(root, "etc/group", group).ok_or_else(|| OwnerError::Group(group.to_owned()))?;
    Ok(Owner { uid, gid })
}

/// The number itself, or the third field of the line with that name.
fn number(root: BorrowedFd<'_>, file: &str, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let place = tree::find(root, file, Missing::Stop, Last::Follow).ok()?;
    let mut text = Vec::new();
    place.open_file().ok()?.take(16 << 20).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.lines().map(|line| line.split(':'));
    fields.find_map(|mut fields| (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?)
}
