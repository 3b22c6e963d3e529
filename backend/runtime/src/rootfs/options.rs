//! Mount options as `mount(8)` and the OCI specification spell them. Pure.

use drydock_sys::mount::{Attributes, Propagation, Reach};

/// What a list of options asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A bind mount, of one mount or of the tree below it.
    pub bind: Option<Bind>,
    /// For the mount itself.
    pub set: Flags,
    pub clear: Flags,
    /// For it and every mount below.
    pub set_all: Flags,
    pub clear_all: Flags,
    pub propagation: Option<(Propagation, Spread)>,
    pub idmap: Option<Spread>,
    /// Copy what the new mount would hide into it.
    pub copy_up: bool,
    /// For the file system: `key` or `key=value`.
    pub data: Vec<String>,
}

/// How much a bind mount takes along.
pub type Bind = Spread;

/// One mount, or also those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    One,
    Tree,
}

impl Spread {
    pub fn reach(self) -> Reach {
        match self {
            Spread::One => Reach::One,
            Spread::Tree => Reach::Tree,
        }
    }
}

/// `MOUNT_ATTR_*` with a default and equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub Attributes);

impl Default for Flags {
    fn default() -> Self {
        Self(Attributes::empty())
    }
}

impl Flags {
    pub fn some(self) -> Option<Attributes> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

/// Option, attribute, and whether it is set or cleared.
const ATTRIBUTES: [(&str, Attributes, bool); 17] = [
    ("ro", Attributes::MOUNT_ATTR_RDONLY, true),
    ("rw", Attributes::MOUNT_ATTR_RDONLY, false),
    ("nosuid", Attributes::MOUNT_ATTR_NOSUID, true),
    ("suid", Attributes::MOUNT_ATTR_NOSUID, false),
    ("nodev", Attributes::MOUNT_ATTR_NODEV, true),
    ("dev", Attributes::MOUNT_ATTR_NODEV, false),
    ("noexec", Attributes::MOUNT_ATTR_NOEXEC, true),
    ("exec", Attributes::MOUNT_ATTR_NOEXEC, false),
    ("noatime", Attributes::MOUNT_ATTR_NOATIME, true),
    ("atime", Attributes::MOUNT_ATTR_NOATIME, false),
    ("strictatime", Attributes::MOUNT_ATTR_STRICTATIME, true),
    ("relatime", Attributes::MOUNT_ATTR_RELATIME, true),
    ("norelatime", Attributes::MOUNT_ATTR_RELATIME, false),
    ("nodiratime", Attributes::MOUNT_ATTR_NODIRATIME, true),
    ("diratime", Attributes::MOUNT_ATTR_NODIRATIME, false),
    ("nosymfollow", Attributes::MOUNT_ATTR_NOSYMFOLLOW, true),
    ("symfollow", Attributes::MOUNT_ATTR_NOSYMFOLLOW, false),
];

const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::Private),
    ("shared", Propagation::Shared),
    ("slave", Propagation::Slave),
    ("unbindable", Propagation::Unbindable),
];

/// Every option this runtime understands, for `features`.
pub fn known() -> Vec<String> {
    let mut names: Vec<String> = ATTRIBUTES
        .iter()
        .flat_map(|(name, ..)| [(*name).to_owned(), format!("r{name}")])
        .chain(PROPAGATIONS.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("r{name}")]))
        .chain(["bind", "rbind", "idmap", "ridmap", "tmpcopyup", "defaults"].map(str::to_owned))
        .collect();
    names.sort();
    names
}

impl Options {
    pub fn parse(words: &[String]) -> Self {
        let mut options = Self::default();
        for word in words {
            options.take(word);
        }
        options
    }

    fn take(&mut self, word: &str) {
        match word {
            "defaults" => {}
            "bind" => self.bind = Some(Spread::One),
            "rbind" => self.bind = Some(Spread::Tree),
            "idmap" => self.idmap = Some(Spread::One),
            "ridmap" => self.idmap = Some(Spread::Tree),
            "tmpcopyup" => self.copy_up = true,
            _ if self.take_attribute(word) || self.take_propagation(word) => {}
            data => self.data.push(data.to_owned()),
        }
    }

    fn take_attribute(&mut self, word: &str) -> bool {
        let find = |name: &str| ATTRIBUTES.iter().find(|(known, ..)| *known == name);
        // `relatime` is itself, not recursive `elatime`.
        let (found, all) = match find(word) {
            Some(found) => (found, false),
            None => match word.strip_prefix('r').and_then(find) {
                Some(found) => (found, true),
                None => return false,
            },
        };
        let (_, flag, on) = *found;
        let (set, clear) = match all {
            true => (&mut self.set_all, &mut self.clear_all),
            false => (&mut self.set, &mut self.clear),
        };
        let (into, from) = if on { (set, clear) } else { (clear, set) };
        into.0 |= flag;
        from.0 -= flag;
        true
    }

    fn take_propagation(&mut self, word: &str) -> bool {
        let find = |name: &str| PROPAGATIONS.iter().find(|(known, _)| *known == name);
        let (found, spread) = match find(word) {
            Some(found) => (found, Spread::One),
            None => match word.strip_prefix('r').and_then(find) {
                Some(found) => (found, Spread::Tree),
                None => return false,
            },
        };
        self.propagation = Some((found.1, spread));
        true
    }
}

/// `rootfsPropagation` of the specification.
pub fn root_propagation(word: &str) -> Option<(Propagation, Spread)> {
    let mut options = Options::default();
    options.take_propagation(word).then_some(())?;
    options.propagation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        Options::parse(&words.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_become_attributes_propagation_and_data() {
        let options = parse("nosuid,noexec,ro,mode=755,size=64m,rprivate");
        assert_eq!(
            options.set.0,
            Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC | Attributes::MOUNT_ATTR_RDONLY
        );
        assert_eq!(options.data, ["mode=755", "size=64m"]);
        assert_eq!(options.propagation, Some((Propagation::Private, Spread::Tree)));
    }

    #[test]
    fn the_last_word_wins() {
        let options = parse("ro,rw");
        assert_eq!((options.set.0, options.clear.0), (Attributes::empty(), Attributes::MOUNT_ATTR_RDONLY));
    }

    #[test]
    fn an_r_before_a_flag_means_everything_below() {
        let options = parse("rbind,rro,relatime,rexec");
        assert_eq!(options.bind, Some(Spread::Tree));
        assert_eq!(options.set_all.0, Attributes::MOUNT_ATTR_RDONLY);
        assert_eq!(options.clear_all.0, Attributes::MOUNT_ATTR_NOEXEC);
        assert_eq!(options.set.0, Attributes::empty(), "relatime is the absence of the others");
    }

    #[test]
    fn propagation_of_the_root_is_one_word() {
        assert_eq!(root_propagation("rslave"), Some((Propagation::Slave, Spread::Tree)));
        assert_eq!(root_propagation("ro"), None);
    }
}
