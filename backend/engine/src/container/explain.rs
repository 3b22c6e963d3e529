//! Failures of the runtime in the words docker's clients look for, and what they mean: moby reads them the same way.

use drydock_shim::config::Failure;
use http::StatusCode;

/// A failure as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub text: String,
    /// What `docker inspect` shows as the exit code of a start that failed.
    pub exit_code: i32,
    pub status: StatusCode,
}

/// Of a container's first process.
pub fn of_start(failure: &Failure) -> Explained {
    of_start_text(&failure.message)
}

/// The same where it is seen before the runtime is asked.
pub fn of_start_text(message: &str) -> Explained {
    read(&format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
         failed: unable to start container process: error during container init: {}",
        in_cgroups(message)
    ))
}

/// Of a request the runtime refuses before it makes anything.
pub fn of_specification(error: &dyn std::error::Error) -> Explained {
    read(&format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
         failed: {}",
        crate::error::chain(error)
    ))
}

/// Of a further process.
pub fn of_exec(failure: &Failure) -> Explained {
    read(&format!(
        "OCI runtime exec failed: exec failed: unable to start container process: {}",
        failure.message
    ))
}

fn in_cgroups(message: &str) -> String {
    let prefix = if message.starts_with("failed to write ") {
        "error setting cgroup config for procHooks process: "
    } else {
        ""
    };
    format!("{prefix}{message}")
}

/// The text decides.
pub fn read(text: &str) -> Explained {
    let low = text.to_lowercase();
    let refused = |text: String, exit_code| Explained { text, exit_code, status: StatusCode::BAD_REQUEST };
    if low.contains("permission denied") {
        return refused(text.to_owned(), 126);
    }
    if low.contains("is a directory") {
        return refused(format!("{text}: permission denied"), 126);
    }
    if low.contains("not a directory") {
        let hint = "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path \
                    exists and is the expected type";
        return refused(format!("{text}: {hint}"), 127);
    }
    if low.contains("executable file not found") || low.contains("no such file or directory") {
        return refused(text.to_owned(), 127);
    }
    Explained { text: text.to_owned(), exit_code: 128, status: StatusCode::INTERNAL_SERVER_ERROR }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_words_of_a_failure_decide_its_code() {
        for (text, code, status) in [
            ("exec: \"x\": executable file not found in $PATH", 127, 400),
            ("exec: \"/x\": stat /x: no such file or directory", 127, 400),
            ("exec: \"/x\": permission denied", 126, 400),
            ("exec: \"/etc\": is a directory", 126, 400),
            ("exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory", 127, 400),
            ("sethostname: invalid argument", 128, 500),
        ] {
            let explained = read(text);
            assert_eq!((explained.exit_code, explained.status.as_u16()), (code, status), "{text}");
        }
        assert!(read("exec: \"/etc\": is a directory").text.ends_with(": permission denied"));
    }
}
