//! System call numbers by name, from the kernel's `unistd_64.h` and `unistd_32.h`.
//!
//! Kept as text: a table of Rust strings would be relocated at every start of every program that links it.

use std::collections::HashMap;

/// Whose numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    X86_64,
    I386,
}

impl Table {
    fn text(self) -> &'static str {
        match self {
            Table::X86_64 => include_str!("x86_64.table"),
            Table::I386 => include_str!("i386.table"),
        }
    }
}

fn entries(table: Table) -> impl Iterator<Item = (&'static str, u32)> {
    table.text().lines().filter_map(|line| {
        let (name, number) = line.split_once(' ')?;
        Some((name, number.parse().ok()?))
    })
}

pub fn table(table: Table) -> HashMap<&'static str, u32> {
    entries(table).collect()
}

#[cfg(test)]
pub fn names(table: Table) -> impl Iterator<Item = &'static str> {
    entries(table).map(|(name, _)| name)
}
