//! `EXPOSE`: `80`, `80/udp`, `8000-8010/tcp`, and the forms of `-p` that old files have.

/// A port that means nothing, in moby's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    #[error("no port specified: {0}<empty>")]
    Empty(String),
    #[error("invalid proto: {0}")]
    Protocol(String),
    #[error("invalid containerPort: {0}")]
    Container(String),
    #[error("invalid hostPort: {0}")]
    Host(String),
}

/// The ports of one word as `PORT/protocol`. What it says of the host's side is checked and left out.
pub fn parse(word: &str) -> Result<Vec<String>, PortError> {
    let mut parts = word.rsplitn(3, ':');
    let (container, host) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    if range.is_empty() {
        return Err(PortError::Empty(word.to_owned()));
    }
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(PortError::Protocol(protocol));
    }
    let (first, last) = ports(range).ok_or_else(|| PortError::Container(range.to_owned()))?;
    if !host.is_empty() && ports(host).is_none() {
        return Err(PortError::Host(host.to_owned()));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn ports(range: &str) -> Option<(u16, u16)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_a_protocol_and_ranges_are_spread() {
        assert_eq!(parse("80"), Ok(vec!["80/tcp".into()]));
        assert_eq!(parse("53/UDP"), Ok(vec!["53/udp".into()]));
        assert_eq!(parse("8000-8001/tcp"), Ok(vec!["8000/tcp".into(), "8001/tcp".into()]));
        assert_eq!(parse("127.0.0.1:8080:80"), Ok(vec!["80/tcp".into()]));
        assert_eq!(parse("/tcp"), Err(PortError::Empty("/tcp".into())));
        assert_eq!(parse("80/ip"), Err(PortError::Protocol("ip".into())));
        assert_eq!(parse("90-80"), Err(PortError::Container("90-80".into())));
        assert_eq!(parse("web"), Err(PortError::Container("web".into())));
    }
}
