//! The two halves of a connection, watched for no more than they wait for.
//!
//! A unix socket becomes "writable" again each time its peer has read. Whoever asks to be told of that always, as tokio's
//! own halves do, is woken once more for every keystroke, on both sides; here the question is asked only when a
//! write did not fit.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// A pipe's end: a socket is read and polled just like one, for reading alone.
pub type Reader = pipe::Receiver;

/// Dropped, it tells the other side that nothing more will come.
#[derive(Debug)]
pub struct Writer(OwnedFd);

pub fn split(stream: UnixStream) -> io::Result<(Reader, Writer)> {
    let socket = OwnedFd::from(stream.into_std()?);
    let writer = Writer(socket.try_clone()?);
    Ok((pipe::Receiver::from_owned_fd_unchecked(socket)?, writer))
}

impl Writer {
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let send = || rustix::net::send(&self.0, bytes, SendFlags::NOSIGNAL);
            let count = when_it_fits(&self.0, send).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The other side may have gone first.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Write);
    }
}

/// Writes, and waits only while nothing fits.
pub async fn when_it_fits(
    file: impl AsFd,
    mut write: impl FnMut() -> Result<usize, Errno>,
) -> io::Result<usize> {
    loop {
        match write() {
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => continue,
            done => return Ok(done?),
        }
        // A descriptor of its own, since epoll takes each only once; and asked anew, it tells what is so already.
        let copy = file.as_fd().try_clone_to_owned()?;
        pipe::Sender::from_owned_fd_unchecked(copy)?.writable().await?;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_does_not_fit_waits_and_arrives_whole() {
        let (here, there) = UnixStream::pair().unwrap();
        let ((_reader, mut writer), (mut reader, _writer)) = (split(here).unwrap(), split(there).unwrap());
        let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number as u8).collect();
        let send = async {
            writer.write_all(&sent).await.unwrap();
            drop(writer);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(send, reader.read_to_end(&mut got));
        read.unwrap();
        assert_eq!(got, sent);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_small_answer_to_each_small_question_comes() {
        let (here, there) = UnixStream::pair().unwrap();
        let ((mut from, mut to), (mut reader, mut writer)) = (split(here).unwrap(), split(there).unwrap());
        let echo = async {
            let mut byte = [0; 16];
            while let Ok(count @ 1..) = reader.read(&mut byte).await {
                writer.write_all(&byte[..count]).await.unwrap();
            }
        };
        let ask = async {
            for round in 0..1000_u32 {
                to.write_all(&round.to_be_bytes()).await.unwrap();
                assert_eq!(from.read_u32().await.unwrap(), round);
            }
            drop(to);
        };
        tokio::join!(echo, ask);
    }
}
