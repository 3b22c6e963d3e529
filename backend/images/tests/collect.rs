//! Whatever is done in whatever order: what is used is never thrown away, and what is not used does not stay.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drydock_images::{DiffId, Digest, Hold, ImageId, Named, NewImage, Store};
use support::{Tar, config, store};

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// What should be there.
#[derive(Default)]
struct Expected {
    images: BTreeMap<ImageId, Vec<usize>>,
    containers: BTreeMap<String, Vec<usize>>,
    held: Vec<(Hold, usize)>,
}

fn layers() -> Vec<(Vec<u8>, DiffId)> {
    let archives = (0..6).map(|number| Tar::new().file(&format!("file-{number}"), "x").bytes());
    archives.map(|archive| (archive.clone(), DiffId(Digest::of(&archive)))).collect()
}

/// Puts an image of some layers into the store, as a pull would: layers first.
fn put(store: &Store, layers: &[(Vec<u8>, DiffId)], of: &[usize]) -> ImageId {
    let digests: Vec<Digest> = of.iter().map(|number| layers[*number].1.0.clone()).collect();
    let _held = store.hold(digests.iter().cloned());
    for number in of {
        let (archive, diff_id) = &layers[*number];
        if !store.has_layer(diff_id) {
            store.unpack_reader(archive.as_slice(), None, diff_id, &mut |_| {}).unwrap();
        }
    }
    let config = config(&digests);
    let new = NewImage { config: config.as_bytes(), manifest: None, blobs: Vec::new() };
    store.put_image(new).unwrap().id.clone()
}

fn check(store: &Store, layers: &[(Vec<u8>, DiffId)], expected: &Expected, is_collected: bool) {
    let images: BTreeSet<ImageId> = store.images().unwrap().iter().map(|image| image.id.clone()).collect();
    assert_eq!(images, expected.images.keys().cloned().collect());
    let mut used: BTreeSet<usize> = expected.images.values().flatten().copied().collect();
    used.extend(expected.containers.values().flatten());
    used.extend(expected.held.iter().map(|(_, number)| *number));
    for (number, (_, diff_id)) in layers.iter().enumerate() {
        let is_there = store.has_layer(diff_id);
        if used.contains(&number) {
            assert!(is_there, "layer {number} is used and gone");
        } else if is_collected {
            assert!(!is_there, "layer {number} is not used and stays");
        }
    }
    for image in store.images().unwrap() {
        assert_eq!(store.layer_paths(&image).len(), image.layers.len());
        assert!(store.read_blob(&image.id.0).is_ok());
    }
}

fn pick<K: Clone, V>(map: &BTreeMap<K, V>, dice: &mut Dice) -> Option<K> {
    (!map.is_empty()).then(|| map.keys().nth(dice.roll(map.len())).cloned()).flatten()
}

fn step(store: &Store, layers: &[(Vec<u8>, DiffId)], expected: &mut Expected, dice: &mut Dice, turn: usize) {
    match dice.roll(8) {
        0 | 1 => {
            let mut of: Vec<usize> = (0..=dice.roll(3)).map(|_| dice.roll(layers.len())).collect();
            of.dedup();
            let id = put(store, layers, &of);
            expected.images.insert(id.clone(), of);
            let name = Named::parse(&format!("name-{}:1", dice.roll(4))).unwrap();
            store.tag(&name, &id).unwrap();
        }
        2 | 3 => {
            if let Some(id) = pick(&expected.images, dice) {
                store.remove(&id).unwrap();
                expected.images.remove(&id);
            }
        }
        4 => {
            if let Some(id) = pick(&expected.images, dice) {
                let image = store.image(&id).unwrap().unwrap();
                let name = format!("c{turn}");
                store.prepare(&name, &image).unwrap();
                expected.containers.insert(name, expected.images[&id].clone());
            }
        }
        5 => {
            if let Some(name) = pick(&expected.containers, dice) {
                store.snapshot(&name).unwrap().remove().unwrap();
                expected.containers.remove(&name);
            }
        }
        6 => {
            let there = (0..layers.len()).find(|number| store.has_layer(&layers[*number].1));
            if let Some(number) = there {
                expected.held.push((store.hold([layers[number].1.0.clone()]), number));
            }
        }
        _ => drop((!expected.held.is_empty()).then(|| expected.held.remove(0))),
    }
}

#[test]
fn what_is_used_stays_and_what_is_not_goes() {
    for seed in 1..=12_u64 {
        let (_folder, store) = store();
        let layers = layers();
        let (mut expected, mut dice) = (Expected::default(), Dice(seed * 0x9e37_79b9_7f4a_7c15));
        for turn in 0..60 {
            step(&store, &layers, &mut expected, &mut dice, turn);
            check(&store, &layers, &expected, false);
            if dice.roll(5) == 0 {
                store.collect(Duration::ZERO).unwrap();
                check(&store, &layers, &expected, true);
            }
        }
        // Another process sees the same.
        let again = Store::open(store.root(), None).unwrap();
        check(&again, &layers, &expected, false);
    }
}

#[test]
fn images_come_and_go_side_by_side() {
    let (_folder, store) = store();
    let layers = layers();
    std::thread::scope(|scope| {
        for seed in 1..=4_u64 {
            let (store, layers) = (&store, &layers);
            scope.spawn(move || {
                let mut dice = Dice(seed * 0x9e37_79b9_7f4a_7c15);
                for _ in 0..40 {
                    let of = [dice.roll(3), 3 + dice.roll(3)];
                    let id = put(store, layers, &of);
                    // Another may have removed the same image by now, never a layer of one that is there.
                    if let Some(image) = store.image(&id).unwrap() {
                        let held = store.hold(image.layers.iter().map(|layer| layer.diff_id.0.clone()));
                        if store.image(&id).unwrap().is_some() {
                            assert_eq!(store.layer_paths(&image).len(), 2);
                        }
                        drop(held);
                    }
                    store.remove(&id).unwrap();
                }
            });
        }
    });
    store.collect(Duration::ZERO).unwrap();
    assert!(store.images().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(store.root().join("layers")).unwrap().count(), 0);
}
