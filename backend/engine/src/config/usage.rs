//! `--help`, laid out as dockerd's.

use super::options::{Kind, OPTIONS, Opt};

/// dockerd's, where it does not know its terminal.
const WIDTH: usize = 79;

/// Everything from `Usage:` on.
pub fn usage(program: &str) -> String {
    format!(
        "Usage:\t{program} [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n{}",
        flags()
    )
}

fn flags() -> String {
    let shown: Vec<(&Opt, String)> = OPTIONS
        .iter()
        .filter(|opt| !opt.hidden && opt.deprecated.is_none())
        .map(|opt| (opt, head(opt)))
        .collect();
    let longest = shown.iter().map(|(_, head)| head.len()).max().unwrap_or(0) + 1;
    let mut out = String::new();
    for (opt, head) in shown {
        let spaces = " ".repeat(longest - head.len());
        let default = match opt.flag {
            "default-cgroupns-mode" if !crate::host::has_cgroup_v2() => "\"host\"",
            _ => opt.shown_default,
        };
        let text = match default {
            "" => opt.usage.to_owned(),
            default => format!("{} (default {default})", opt.usage),
        };
        out.push_str(&format!("{head} {spaces} {}\n", wrap(longest + 2, &text)));
    }
    out
}

/// `  -D, --debug`, `      --bip string`.
fn head(opt: &Opt) -> String {
    let names = match opt.short {
        Some(short) => format!("  -{short}, --{}", opt.flag),
        None => format!("      --{}", opt.flag),
    };
    let kind = match opt.kind {
        Kind::Bool => return names,
        Kind::Int => "int",
        Kind::Text => "string",
        Kind::List => "list",
        Kind::Map | Kind::Features => "map",
        Kind::MapMap => "mapmap",
        Kind::Bytes => "bytes",
        Kind::Ulimits => "ulimit",
        Kind::Runtimes => "runtime",
        Kind::Pools => "pool-options",
        Kind::Ip => "ip",
        Kind::Ips => "ipSlice",
    };
    format!("{names} {kind}")
}

/// As Go's pflag wraps: a last line may be a little too long rather than a word alone on another.
fn wrap(indent: usize, text: &str) -> String {
    const SLOP: usize = 5;
    let width = WIDTH.saturating_sub(indent + SLOP).max(1);
    let newline = format!("\n{}", " ".repeat(indent));
    let (first, mut rest) = cut(width, SLOP, text);
    let mut out = first.to_owned();
    while !rest.is_empty() {
        let (line, after) = cut(width, SLOP, rest);
        out.push_str(&newline);
        out.push_str(line);
        rest = after;
    }
    out
}

fn cut(width: usize, slop: usize, text: &str) -> (&str, &str) {
    if width + slop > text.len() {
        return (text, "");
    }
    match text[..width].rfind(' ') {
        Some(space) if space > 0 => (&text[..space], &text[space + 1..]),
        _ => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    /// Some of what dockerd 28.5.2 prints.
    #[test]
    fn help_looks_like_dockerds() {
        let text = super::usage("dockerd");
        let lines = [
            "Usage:\tdockerd [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n",
            "      --add-runtime runtime                   Register an additional OCI\n\
             \x20                                             compatible runtime (default [])\n",
            "  -b, --bridge string                         Attach containers to a\n\
             \x20                                             network bridge\n",
            "      --cdi-spec-dir list                     CDI specification\n\
             \x20                                             directories to use\n",
            "  -D, --debug                                 Enable debug mode\n",
            "      --swarm-default-advertise-addr string   Set default address or\n\
             \x20                                             interface for swarm\n\
             \x20                                             advertised address\n",
            "  -l, --log-level string                      Set the logging level\n\
             \x20                                             (\"debug\"|\"info\"|\"warn\"|\"error\"|\"fatal\") (default \"info\")\n",
        ];
        for line in lines {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
