//! Messages as JSON.

use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The largest message: a full assignment or a part of a snapshot stays far below.
pub(super) const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

pub(super) struct Json<E, D>(PhantomData<fn() -> (E, D)>);

impl<E, D> Json<E, D> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> Codec for Json<E, D>
where
    E: Serialize + Send + 'static,
    D: DeserializeOwned + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = Side<E>;
    type Decoder = Side<D>;

    fn encoder(&mut self) -> Side<E> {
        Side(PhantomData)
    }

    fn decoder(&mut self) -> Side<D> {
        Side(PhantomData)
    }
}

pub(super) struct Side<T>(PhantomData<fn() -> T>);

impl<T: Serialize> Encoder for Side<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        serde_json::to_writer(buffer.writer(), &item).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<T: DeserializeOwned> Decoder for Side<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        let message = serde_json::from_reader(buffer.reader());
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
