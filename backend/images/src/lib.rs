//! Images on disk: a content-addressed store, its unpacked layers, and overlay snapshots over them.
//!
//! What this room does: takes blobs and verifies them while they stream in, unpacks each layer once, remembers
//! which names mean which image, makes the root file system of a container, and throws away what nothing
//! names. It refuses to know how bytes arrive (`registry`, `docker load`), the Engine API, and who runs what.
//! It is synchronous; callers with an event loop use it from blocking threads.
//!
//! ```text
//! ROOT/
//!   refs.json                  names → images; replaced by rename, flushed
//!   refs.new.json              the same, newer, and not flushed: forgotten by a power cut
//!   images/<hex>.json          one image: its layers and the manifest it came with
//!   blobs/sha256/<hex>         manifests, configurations and layers as they were received
//!   layers/<hex of diffid>/
//!     diff/                    the layer unpacked, whiteouts as overlayfs wants them
//!     layer.json               its size; written before the folder gets its name
//!     compressed.json          what a push made of it, if it has no blob
//!   snapshots/<container>/     upper/, work/, merged/ and snapshot.json; with `vfs` merged/ holds a copy of the image
//!   tmp/                       what is being written; emptied at start
//!   lock                       held while refs.json changes, so that several processes may share a root
//! ```
//!
//! A store may have a *shared* store beside it, read only: the host's, inside a node. Its blobs and layers are
//! used in place, its names are not seen.
//!
//! Begin with [`Store`], then [`unpack`] (why a hostile layer cannot leave its folder) and [`Snapshot`].
#![forbid(unsafe_code)]

mod blob;
mod changes;
mod digest;
mod draft;
mod driver;
mod file;
mod headers;
mod hold;
mod image;
mod layer;
mod layout;
mod pack;
mod places;
mod platform;
mod reference;
mod refs;
mod remove;
mod snapshot;
mod store;
mod stream;
pub mod unpack;
mod vfs;

pub use blob::{BlobError, BlobWriter};
pub use changes::{Change, Kind};
pub use digest::{DiffId, Digest, DigestError, Hasher, ImageId};
pub use draft::{Draft, DraftError};
pub use driver::{Driver, DriverError, backing};
pub use hold::Hold;
pub use image::{Descriptor, Image, ImageError, Layer, NewImage};
pub use layer::{LayerError, Received};
pub use layout::{ImportError, Imported, Loaded};
pub use pack::{Deleted, PackError, pack};
pub use platform::{PlatformError, Specifier};
pub use reference::{Named, Reference, ReferenceError};
pub use refs::IndexError;
pub use remove::{RemoveError, Removed};
pub use snapshot::{Detached, Durability, Snapshot, SnapshotError};
pub use store::{FindError, OpenError, Store};
pub use stream::decompress;
