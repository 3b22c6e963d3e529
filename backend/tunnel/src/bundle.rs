//! Packets on their way in, which the link may be given at once.
//!
//! UDP of one conversation whose payloads are of one size is written as one long datagram with the size to cut it by: the kernel cuts it where VXLAN
//! takes it, so that what was one TCP segment on the other host is put together again. Pure of descriptors. Every packet was looked at by itself before.

use drydock_sys::tun::{HEADER, Header};

const IP: usize = 40;
const UDP: usize = 8;
const PROTOCOL: u32 = 17;
/// The most that the length fields of IPv6 and UDP can say.
const LONGEST: usize = u16::MAX as usize;
/// As many as the kernel cuts apart in one go without complaint.
const MOST: usize = 64;

/// Room for a header of virtio and one long packet.
#[derive(Debug)]
pub(crate) struct Bundle {
    bytes: Vec<u8>,
    /// Of the first packet's payload.
    size: usize,
    count: usize,
    /// Its last packet is shorter, or nothing may follow.
    is_closed: bool,
    may_grow: bool,
}

impl Bundle {
    /// `may_grow`: the link takes more than one packet at a time.
    pub fn new(may_grow: bool) -> Self {
        Self {
            bytes: Vec::with_capacity(HEADER + IP + LONGEST),
            size: 0,
            count: 0,
            is_closed: true,
            may_grow,
        }
    }

    /// Takes a packet in, which is IPv6 and UDP; if it does not go with those before, `false`.
    pub fn add(&mut self, packet: &[u8]) -> bool {
        if self.count == 0 {
            self.begin(packet);
            return true;
        }
        let fits = !self.is_closed
            && packet.len() > IP + UDP
            && packet.len() - IP - UDP <= self.size
            && self.bytes.len() - HEADER - IP + packet.len() <= LONGEST
            && is_of_one_conversation(&self.bytes[HEADER..], packet);
        if fits {
            self.bytes.extend_from_slice(&packet[IP + UDP..]);
            self.count += 1;
            self.is_closed = packet.len() - IP - UDP < self.size || self.count == MOST;
        }
        fits
    }

    fn begin(&mut self, packet: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; HEADER]);
        self.bytes.extend_from_slice(packet);
        self.size = packet.len().saturating_sub(IP + UDP);
        self.count = 1;
        self.is_closed = !self.may_grow || self.size == 0 || !is_plain(packet);
    }

    /// What is to be written, if anything: a header of virtio and a packet. The bundle is empty then.
    pub fn take(&mut self) -> Option<&[u8]> {
        match std::mem::take(&mut self.count) {
            0 => return None,
            1 => {}
            _ => self.tie(),
        }
        Some(&self.bytes)
    }

    /// Makes one datagram of the packets.
    fn tie(&mut self) {
        let length = u16::try_from(self.bytes.len() - HEADER - IP).unwrap_or(u16::MAX);
        let packet = &mut self.bytes[HEADER..];
        let sum = pseudo_checksum(packet, length);
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        packet[IP + 4..IP + 6].copy_from_slice(&length.to_be_bytes());
        packet[IP + 6..IP + 8].copy_from_slice(&sum.to_be_bytes());
        let header = Header {
            flags: Header::NEEDS_CHECKSUM,
            kind: Header::DATAGRAMS,
            headers: (IP + UDP) as u16,
            size: u16::try_from(self.size).unwrap_or(u16::MAX),
            checksum_from: IP as u16,
            checksum_at: 6,
        };
        self.bytes[..HEADER].copy_from_slice(&header.bytes());
    }
}

/// Whether the packet's lengths are what they say: of another nothing may follow another's bytes.
fn is_plain(packet: &[u8]) -> bool {
    packet.len() > IP + UDP
        && [4, IP + 4].iter().all(|at| packet[*at..at + 2] == ((packet.len() - IP) as u16).to_be_bytes())
}

/// Whether two packets have the same headers but for lengths and checksum.
fn is_of_one_conversation(one: &[u8], other: &[u8]) -> bool {
    is_plain(other) && one[..4] == other[..4] && one[6..IP + 4] == other[6..IP + 4]
}

/// Of the pseudo header of RFC 8200, 8.1, as the kernel wants it where it is to sum up the rest.
fn pseudo_checksum(packet: &[u8], length: u16) -> u16 {
    let words = packet[8..IP].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum = words.sum::<u32>() + u32::from(length) + PROTOCOL;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VXLAN from one node to another: so many bytes of payload, each of which is `word`.
    fn packet(source_port: u16, size: usize, word: u8) -> Vec<u8> {
        let length = ((UDP + size) as u16).to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], 17, 64];
        packet.extend([0xfd; 16].iter().chain(&[0xfe; 16]));
        packet.extend(source_port.to_be_bytes());
        packet.extend(4789u16.to_be_bytes());
        packet.extend(length);
        packet.extend([0xab, 0xcd]);
        packet.resize(IP + UDP + size, word);
        packet
    }

    /// How many of the packets each write has, and the bytes of the last one.
    fn written(may_grow: bool, packets: &[Vec<u8>]) -> (Vec<usize>, Vec<u8>) {
        let (mut bundle, mut counts, mut last) = (Bundle::new(may_grow), vec![0], Vec::new());
        for packet in packets {
            if !bundle.add(packet) {
                last = bundle.take().unwrap().to_vec();
                assert!(bundle.add(packet), "an empty bundle takes anything");
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        }
        if let Some(bytes) = bundle.take() {
            last = bytes.to_vec();
        }
        assert_eq!(bundle.take(), None);
        (counts, last)
    }

    #[test]
    fn a_packet_alone_is_written_as_it_came() {
        let (counts, bytes) = written(true, &[packet(1, 100, 7)]);
        assert_eq!(
            (counts, &bytes[..HEADER], &bytes[HEADER..]),
            (vec![1], &[0; HEADER][..], &packet(1, 100, 7)[..])
        );
    }

    #[test]
    fn packets_of_one_conversation_become_one_datagram_to_be_cut() {
        let (counts, bytes) = written(true, &[packet(1, 100, 1), packet(1, 100, 2), packet(1, 60, 3)]);
        assert_eq!(counts, [3]);
        let expected =
            Header { flags: 1, kind: 5, headers: 48, size: 100, checksum_from: 40, checksum_at: 6 };
        assert_eq!(bytes[..HEADER], expected.bytes());
        let packet = &bytes[HEADER..];
        assert_eq!((&packet[4..6], &packet[44..46]), (&[1, 12][..], &[1, 12][..]), "8 + 260 bytes");
        assert_eq!(packet[48..], [[1; 100].as_slice(), &[2; 100], &[3; 60]].concat());
        // 8 words of 0xfdfd, 8 of 0xfefe, 268 and 17, folded.
        let sum = 8 * 0xfdfdu32 + 8 * 0xfefe + 268 + 17;
        assert_eq!(packet[46..48], (((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    }

    #[test]
    fn what_does_not_go_with_the_others_is_written_by_itself() {
        let cases = [
            ("a longer one", vec![packet(1, 60, 1), packet(1, 100, 2)], vec![1, 1]),
            (
                "one behind a shorter one",
                vec![packet(1, 100, 1), packet(1, 60, 2), packet(1, 60, 3)],
                vec![2, 1],
            ),
            ("another conversation's", vec![packet(1, 100, 1), packet(2, 100, 2)], vec![1, 1]),
            ("more than there is room for", vec![packet(1, 30_000, 1); 3], vec![2, 1]),
            ("more than the kernel cuts", vec![packet(1, 100, 1); MOST + 1], vec![MOST, 1]),
        ];
        for (what, packets, expected) in cases {
            assert_eq!(written(true, &packets).0, expected, "{what}");
        }
        let mut lying = packet(1, 100, 2);
        lying[5] -= 1;
        assert_eq!(written(true, &[packet(1, 100, 1), lying.clone()]).0, [1, 1], "a length that is not true");
        assert_eq!(written(true, &[lying, packet(1, 100, 1)]).0, [1, 1], "and behind it");
        assert_eq!(
            written(false, &[packet(1, 100, 1), packet(1, 100, 2)]).0,
            [1, 1],
            "a link of single packets"
        );
    }
}
