//! The process's own memory.

/// Lets all threads share so many of the allocator's arenas; to be called before there are any. Glibc makes eight for each processor, one after the
/// other for threads that come and go, and of each it keeps what lies free at the end: [`give_back`] reaches that of the first alone.
pub fn share_arenas(most: u8) {
    // SAFETY: mallopt sets a number that is read when a thread first allocates; no memory is touched.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, most.into());
    }
}

/// Returns what was freed to the kernel: for a process that is large for a moment and then waits for days.
pub fn give_back() {
    // SAFETY: malloc_trim touches only memory the allocator has on its free lists.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the pages of the program's own code and constants; what is used again is mapped again, from the page
/// cache, at the price of a fault. A start touches most of a program and a wait hardly any.
///
/// Does nothing where `/proc` is not there.
pub fn forget_code() {
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
    let Ok(text) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for range in unwritten(&text, &program.to_string_lossy()) {
        // SAFETY: a page-aligned range of one private mapping of a file, which the kernel says was never written (no
        // anonymous page, not writable): dropped pages read the same again, from the same file.
        unsafe {
            libc::madvise(range.start as *mut libc::c_void, range.end - range.start, libc::MADV_DONTNEED);
        }
    }
}

/// The address ranges of `program`'s mappings in `/proc/PID/smaps` that cannot be written and never were.
fn unwritten(smaps: &str, program: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(range) = mapping(line) {
            let of_program = line.ends_with(program) && line.split(' ').nth(1).is_some_and(is_read_only);
            candidate = of_program.then_some(range);
        } else if let Some(anonymous) = line.strip_prefix("Anonymous:") {
            found.extend(candidate.take().filter(|_| anonymous.trim() == "0 kB"));
        }
    }
    found
}

fn is_read_only(rights: &str) -> bool {
    rights.starts_with('r') && rights.as_bytes().get(1) == Some(&b'-') && rights.ends_with('p')
}

/// `00200000-0040a000 r-xp …`
fn mapping(line: &str) -> Option<std::ops::Range<usize>> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_is_let_go() {
        let smaps = "\
00200000-00300000 r--p 00000000 fe:00 7 /bin/engine
Rss:                 100 kB
Anonymous:             0 kB
00300000-00700000 r-xp 00100000 fe:00 7 /bin/engine
Anonymous:             0 kB
00700000-00710000 r--p 00500000 fe:00 7 /bin/engine
Anonymous:            12 kB
00710000-00720000 rw-p 00510000 fe:00 7 /bin/engine
Anonymous:             0 kB
7f000000-7f001000 r--p 00000000 fe:00 9 /lib/other
Anonymous:             0 kB
";
        assert_eq!(unwritten(smaps, "/bin/engine"), [0x20_0000..0x30_0000, 0x30_0000..0x70_0000]);
    }

    #[test]
    fn a_process_goes_on_after_it_let_its_code_go() {
        forget_code();
        assert_eq!(mapping("00200000-00300000 r-xp").unwrap().len(), 0x10_0000);
    }
}
