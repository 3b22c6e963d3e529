//! What the clocks of this machine show.

/// How many seconds local time is ahead of UTC at `unix` seconds since 1970 (`TZ`, `/etc/localtime`).
pub fn seconds_east(unix: i64) -> i32 {
    // SAFETY: `tm` is plain data for which all zeroes is a valid value; its zone is a pointer, null here.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values; localtime_r writes to the second alone, and nobody here changes the
    // environment while it reads `TZ`.
    let done = unsafe { libc::localtime_r(&raw const unix, &raw mut local) };
    if done.is_null() { 0 } else { i32::try_from(local.tm_gmtoff).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_place_is_more_than_a_day_away() {
        assert!(super::seconds_east(1_767_327_845).abs() < 86_400);
    }
}
