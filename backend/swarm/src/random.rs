//! Randomness as an argument: who decides is given a source, and a test gives it a seed.

/// A small generator (xoshiro256**) for ids and tie breaks. Not for secrets: join tokens and keys
/// come from the kernel.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| split_mix(&mut state)))
    }

    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let answer = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c2, d2) = (c ^ a, d ^ b);
        self.0 = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        answer
    }

    /// A number from 0 up to, and without, `end`. `end` is above zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// Whether something of this many chances in a thousand happens.
    pub fn per_mille(&mut self, chances: u64) -> bool {
        self.below(1000) < chances
    }

    /// The 25 digits of base 36 that swarm names its objects with.
    pub fn id(&mut self) -> String {
        (0..25).map(|_| char::from_digit(self.below(36) as u32, 36).expect("below the base")).collect()
    }
}

/// Spreads a seed over the whole state, so that near seeds are far apart.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn one_seed_gives_one_sequence_and_another_seed_another() {
        let ids = |seed| {
            let mut random = Random::seeded(seed);
            (0..4).map(|_| random.id()).collect::<Vec<_>>()
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
    }

    #[test]
    fn an_id_is_twenty_five_digits_of_base_36() {
        let id = Random::seeded(1).id();
        assert_eq!(id.len(), 25);
        assert!(id.bytes().all(|digit| digit.is_ascii_digit() || digit.is_ascii_lowercase()));
    }
}
