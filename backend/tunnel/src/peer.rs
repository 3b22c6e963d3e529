//! One other node, and what was agreed with it under each of the swarm's keys.
//!
//! ```text
//!  a new key ─▶ handshake asked for ─▶ agreed: all is sent under it
//!                     └─ the other has not heard of the key yet: all goes on under the one before
//! ```
//! Pure of sockets: datagrams in, datagrams out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Packet, Tunn, TunnResult};

use crate::key::Key;
use crate::outbox::Outbox;

/// As long as IPv6 can be: what passes depends on the link between hosts.
pub(crate) const LARGEST_PACKET: usize = 40 + u16::MAX as usize;
/// The largest packet with more than sealing adds.
pub(crate) const LARGEST: usize = LARGEST_PACKET + 64;

pub(crate) struct Peer {
    pub node: String,
    pub address: Ipv6Addr,
    pub host: Ipv4Addr,
    /// The newest first.
    ties: Mutex<Vec<Tie>>,
}

/// A key in use with a peer.
struct Tie {
    key: Key,
    /// By which an answer finds the tie again: 24 bits.
    index: u32,
    tunn: Tunn,
}

impl Peer {
    pub fn new(node: &str, address: Ipv6Addr, host: Ipv4Addr) -> Self {
        Self { node: node.to_owned(), address, host, ties: Mutex::default() }
    }

    fn ties(&self) -> MutexGuard<'_, Vec<Tie>> {
        self.ties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the keys now, the newest first. Greets the peer when the newest is new, so that nobody waits for the first packet, nor for a timer
    /// after this node's engine came back.
    pub fn use_keys(&self, own: &str, keys: &[Key], index: &mut impl FnMut() -> u32, outbox: &mut Outbox) {
        let mut ties = self.ties();
        let newest = ties.first().map(|tie| tie.key.clone());
        ties.retain(|tie| keys.contains(&tie.key));
        for (at, key) in keys.iter().enumerate() {
            if ties.get(at).is_none_or(|tie| tie.key != *key) {
                let index = index();
                let tunn = Tunn::new(key.private(own), key.public(&self.node), None, None, index, None);
                ties.insert(at, Tie { key: key.clone(), index, tunn });
            }
        }
        if let Some(first) = ties.first_mut()
            && newest.as_ref() != Some(&first.key)
        {
            let mut buffer = vec![0; LARGEST];
            let asked = first.tunn.format_handshake_initiation(&mut buffer, false);
            post(asked, outbox);
        }
    }

    /// Seals a packet under the newest key that the peer has agreed to. Without any it waits for the first agreement.
    pub fn seal(&self, packet: &[u8], buffer: &mut [u8], outbox: &mut Outbox) {
        let mut ties = self.ties();
        if let Some(tie) = ties.iter_mut().find(|tie| tie.tunn.time_since_last_handshake().is_some()) {
            post(tie.tunn.encapsulate(packet, buffer), outbox);
            return flush(tie, buffer, outbox);
        }
        let [newest, older @ ..] = ties.as_mut_slice() else { return };
        post(newest.tunn.encapsulate(packet, buffer), outbox);
        for tie in older {
            post(tie.tunn.format_handshake_initiation(buffer, false), outbox);
        }
    }

    /// Opens a datagram; the packet in it, if there is one. Answers go to the outbox.
    pub fn open<'a>(&self, datagram: &[u8], buffer: &'a mut [u8], outbox: &mut Outbox) -> Option<&'a [u8]> {
        if datagram.len() > buffer.len() {
            // Longer than what anybody seals, and than boringtun bears.
            return None;
        }
        let mut ties = self.ties();
        let tie = match Tunn::parse_incoming_packet(datagram).ok()? {
            // Under which key it is only the keys tell.
            Packet::HandshakeInit(_) => return self.greeted(&mut ties, datagram, buffer, outbox),
            Packet::HandshakeResponse(packet) => of_index(&mut ties, packet.receiver_idx)?,
            Packet::PacketCookieReply(packet) => of_index(&mut ties, packet.receiver_idx)?,
            Packet::PacketData(packet) => of_index(&mut ties, packet.receiver_idx)?,
        };
        match tie.tunn.decapsulate(Some(self.from()), datagram, buffer) {
            TunnResult::WriteToTunnelV6(packet, _) => {
                let length = packet.len();
                // It was opened into the buffer's beginning.
                return buffer.get(..length);
            }
            TunnResult::WriteToNetwork(answer) => outbox.push(answer),
            TunnResult::Done => {}
            TunnResult::Err(_) | TunnResult::WriteToTunnelV4(..) => return None,
        }
        flush(tie, buffer, outbox);
        None
    }

    fn greeted<'a>(
        &self,
        ties: &mut [Tie],
        datagram: &[u8],
        buffer: &mut [u8],
        outbox: &mut Outbox,
    ) -> Option<&'a [u8]> {
        for tie in ties {
            match tie.tunn.decapsulate(Some(self.from()), datagram, buffer) {
                TunnResult::Err(WireGuardError::InvalidMac) => {}
                TunnResult::WriteToNetwork(answer) => {
                    outbox.push(answer);
                    break;
                }
                _ => break,
            }
        }
        None
    }

    /// Says what is due: another handshake, a sign of life. To be called a few times a second.
    pub fn tick(&self, buffer: &mut [u8], outbox: &mut Outbox) {
        for tie in self.ties().iter_mut() {
            post(tie.tunn.update_timers(buffer), outbox);
        }
    }

    fn from(&self) -> IpAddr {
        self.host.into()
    }
}

/// Sends what waited for an agreement, when there is one now.
fn flush(tie: &mut Tie, buffer: &mut [u8], outbox: &mut Outbox) {
    while tie.tunn.time_since_last_handshake().is_some() {
        let TunnResult::WriteToNetwork(waiting) = tie.tunn.decapsulate(None, &[], buffer) else { return };
        outbox.push(waiting);
    }
}

fn of_index(ties: &mut [Tie], receiver: u32) -> Option<&mut Tie> {
    ties.iter_mut().find(|tie| tie.index == receiver >> 8)
}

/// Puts a datagram in the outbox, if there is one.
fn post(result: TunnResult<'_>, outbox: &mut Outbox) {
    // A peer that does not answer is asked again with the next packet.
    if let TunnResult::WriteToNetwork(datagram) = result {
        outbox.push(datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key { number, secret: vec![number as u8; 16] }
    }

    /// Two nodes as they see each other.
    struct Pair {
        peers: [Peer; 2],
        next: u32,
    }

    impl Pair {
        fn new() -> Self {
            let peer = |name: &str| Peer::new(name, crate::address_of(name), Ipv4Addr::LOCALHOST);
            Self { peers: [peer("b"), peer("a")], next: 0 }
        }

        /// What it says when it hears of keys.
        fn use_keys(&mut self, at: usize, keys: &[Key]) -> Outbox {
            let mut outbox = Outbox::default();
            let mut index = || {
                self.next += 1;
                self.next
            };
            self.peers[at].use_keys(["a", "b"][at], keys, &mut index, &mut outbox);
            outbox
        }

        /// Carries datagrams to and fro until there are no more; what packets came out at either side.
        fn carry(&self, mut from: usize, mut outbox: Outbox) -> Vec<(usize, Vec<u8>)> {
            let (mut buffer, mut came) = (vec![0; LARGEST], Vec::new());
            loop {
                let mut answers = Outbox::default();
                for datagram in outbox.datagrams() {
                    let packet = self.peers[1 - from].open(datagram, &mut buffer, &mut answers);
                    came.extend(packet.map(|packet| (1 - from, packet.to_vec())));
                }
                if answers.datagrams().next().is_none() {
                    return came;
                }
                (from, outbox) = (1 - from, answers);
            }
        }

        fn send(&self, from: usize, word: u8) -> Vec<(usize, Vec<u8>)> {
            let (mut buffer, mut outbox) = (vec![0; LARGEST], Outbox::default());
            self.peers[from].seal(&packet(word), &mut buffer, &mut outbox);
            self.carry(from, outbox)
        }

        fn passes_both_ways(&self) -> bool {
            (0..2).all(|from| self.send(from, 7) == [(1 - from, packet(7))])
        }
    }

    /// An empty IPv6 packet with one byte of payload.
    fn packet(word: u8) -> Vec<u8> {
        let mut packet = vec![0; 41];
        packet[0] = 0x60;
        packet[5] = 1;
        packet[40] = word;
        packet
    }

    #[test]
    fn what_is_sealed_for_a_peer_is_opened_by_it_alone() {
        let mut pair = Pair::new();
        pair.use_keys(0, &[key(1)]);
        let greeting = pair.use_keys(1, &[key(1)]);
        pair.carry(1, greeting);
        assert!(pair.passes_both_ways());
        let (mut buffer, mut sealed, mut answers) = (vec![0; LARGEST], Outbox::default(), Outbox::default());
        pair.peers[0].seal(&packet(9), &mut buffer, &mut sealed);
        let mut datagram = sealed.datagrams().next().unwrap().to_vec();
        assert!(datagram.len() == packet(9).len() + 32 && !datagram.ends_with(&[9]));
        *datagram.last_mut().unwrap() ^= 1;
        assert_eq!(pair.peers[1].open(&datagram, &mut buffer, &mut answers), None, "changed on its way");
    }

    #[test]
    fn the_largest_packet_passes_and_a_longer_datagram_is_dropped() {
        let mut pair = Pair::new();
        pair.use_keys(0, &[key(1)]);
        let greeting = pair.use_keys(1, &[key(1)]);
        pair.carry(1, greeting);
        let mut largest = packet(9);
        largest.resize(LARGEST_PACKET, 9);
        largest[4..6].copy_from_slice(&u16::MAX.to_be_bytes());
        let (mut buffer, mut sealed, mut answers) = (vec![0; LARGEST], Outbox::default(), Outbox::default());
        pair.peers[0].seal(&largest, &mut buffer, &mut sealed);
        let datagram = sealed.datagrams().next().unwrap();
        let mut longer = datagram.to_vec();
        longer.resize(LARGEST + 1, 0);
        assert_eq!(pair.peers[1].open(&longer, &mut buffer, &mut answers), None);
        assert_eq!(pair.peers[1].open(datagram, &mut buffer, &mut answers), Some(&largest[..]));
    }

    #[test]
    fn a_packet_waits_for_the_first_handshake() {
        let mut pair = Pair::new();
        // As to a node that has not heard of this one yet: it says nothing of the greeting.
        let unheard = pair.use_keys(0, &[key(1)]);
        let (mut buffer, mut asked) = (vec![0; LARGEST], Outbox::default());
        pair.peers[0].seal(&packet(5), &mut buffer, &mut asked);
        assert_eq!((unheard.datagrams().count(), asked.datagrams().count()), (1, 0), "asked once");
        let greeting = pair.use_keys(1, &[key(1)]);
        assert_eq!(pair.carry(1, greeting), [(1, packet(5))]);
    }

    #[test]
    fn traffic_goes_on_while_a_new_key_spreads_and_after_the_old_one_is_gone() {
        let mut pair = Pair::new();
        pair.use_keys(0, &[key(1)]);
        let greeting = pair.use_keys(1, &[key(1)]);
        pair.carry(1, greeting);
        assert!(pair.passes_both_ways());
        let greeting = pair.use_keys(0, &[key(2), key(1)]);
        pair.carry(0, greeting);
        assert!(pair.passes_both_ways(), "the other has not heard of it");
        let greeting = pair.use_keys(1, &[key(2), key(1)]);
        pair.carry(1, greeting);
        assert!(pair.passes_both_ways());
        pair.use_keys(0, &[key(2)]);
        pair.use_keys(1, &[key(2)]);
        assert!(pair.passes_both_ways(), "the new one was agreed to before the old one went");
    }

    #[test]
    fn who_has_another_secret_is_not_answered() {
        let mut pair = Pair::new();
        pair.use_keys(0, &[key(1)]);
        let greeting = pair.use_keys(1, &[key(2)]);
        let (mut buffer, mut answers) = (vec![0; LARGEST], Outbox::default());
        let datagram = greeting.datagrams().next().unwrap();
        assert_eq!(pair.peers[0].open(datagram, &mut buffer, &mut answers), None);
        assert_eq!(answers.datagrams().count(), 0);
    }
}
