//! A pcap stream, given on only as whole packets: a file that ends early is a file all the same.

use bytes::{Bytes, BytesMut};

/// Of the file itself, and of each packet in it, bytes.
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
/// tcpdump's largest snapshot, bytes.
const LARGEST_PACKET: usize = 262_144;
/// As a machine writes it whose numbers begin with their smallest byte.
const LITTLE: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];

#[derive(Debug)]
pub struct Whole {
    /// Bytes the file may still get.
    left: usize,
    is_little: Option<bool>,
    pending: BytesMut,
}

/// What came with some bytes.
#[derive(Debug, PartialEq)]
pub struct Taken {
    pub packets: Bytes,
    /// The next packet has no room, or is none.
    pub is_full: bool,
}

impl Whole {
    /// Of a file of at most so many bytes.
    pub fn within(limit: usize) -> Self {
        Self { left: limit, is_little: None, pending: BytesMut::new() }
    }

    /// The packets that are whole with these bytes; the file's header counts as one.
    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        self.pending.extend_from_slice(bytes);
        let (mut end, mut is_full) = (0, false);
        while let Some(length) = self.length(&self.pending[end..]) {
            if length > LARGEST_PACKET || length > self.left {
                is_full = true;
                break;
            }
            if self.pending.len() < end + length {
                break;
            }
            self.is_little.get_or_insert(self.pending.starts_with(&LITTLE));
            self.left -= length;
            end += length;
        }
        Taken { packets: self.pending.split_to(end).freeze(), is_full }
    }

    /// Of what `next` begins with, once that can be told.
    fn length(&self, next: &[u8]) -> Option<usize> {
        let Some(is_little) = self.is_little else { return Some(FILE_HEADER) };
        let caught: [u8; 4] = next.get(..PACKET_HEADER)?[8..12].try_into().ok()?;
        let caught = if is_little { u32::from_le_bytes(caught) } else { u32::from_be_bytes(caught) };
        Some(PACKET_HEADER.saturating_add(caught as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lengths: &[u32], is_little: bool) -> Vec<u8> {
        let number = |number: u32| if is_little { number.to_le_bytes() } else { number.to_be_bytes() };
        let mut file = number(0xa1b2_c3d4).to_vec();
        file.resize(FILE_HEADER, 0);
        for length in lengths {
            file.extend([number(1), number(2), number(*length), number(*length)].concat());
            file.extend(vec![7; *length as usize]);
        }
        file
    }

    /// What is given on of `bytes`, which come in pieces of `size`.
    fn given(bytes: &[u8], size: usize, limit: usize) -> (Vec<u8>, bool) {
        let (mut whole, mut given) = (Whole::within(limit), Vec::new());
        for piece in bytes.chunks(size) {
            let taken = whole.take(piece);
            given.extend(taken.packets);
            if taken.is_full {
                return (given, true);
            }
        }
        (given, false)
    }

    #[test]
    fn a_file_ends_behind_a_packet_however_its_bytes_come() {
        let lengths = [60, 0, 1_500, 54];
        for is_little in [true, false] {
            let whole = file(&lengths, is_little);
            let three = file(&lengths[..3], is_little);
            for size in 1..whole.len() {
                assert_eq!(given(&whole, size, whole.len()), (whole.clone(), false), "{size}");
                // No room for the last, or for its last byte.
                assert_eq!(given(&whole, size, whole.len() - 1), (three.clone(), true), "{size}");
                assert_eq!(given(&whole, size, three.len()), (three.clone(), true), "{size}");
                // The writer was killed half-way through a packet.
                assert_eq!(given(&whole[..whole.len() - 1], size, 9_999), (three.clone(), false), "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_packet_ends_the_file() {
        let mut bytes = file(&[60], true);
        let good = bytes.len();
        bytes.extend([0xff; 64]);
        let (given, is_full) = given(&bytes, 10, 1 << 20);
        assert_eq!((given.len(), is_full), (good, true));
    }
}
