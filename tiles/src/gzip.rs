//! Bundles are kept compressed: most of a leaf is the same in all of them, and its commitment is what is left.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// What every gzip file begins with. No bundle does: it begins with the length of a leaf.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The fastest level: it comes within two bytes a leaf of the best. Without a name and a time in the header the bytes
/// follow from the leaves alone, and `compression_is_pinned` holds the library to them.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    packed.expect("memory takes what is written")
}

pub(crate) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The bytes, unpacked where they are packed. It never allocates more than it may have.
pub(crate) fn unpack(bytes: Vec<u8>, bytes_max: usize) -> io::Result<Vec<u8>> {
    if !is_packed(&bytes) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::with_capacity(bytes_max);
    GzDecoder::new(&bytes[..]).take(bytes_max as u64 + 1).read_to_end(&mut unpacked)?;
    match unpacked.len() <= bytes_max {
        true => Ok(unpacked),
        false => Err(io::Error::other(format!("it has more than {bytes_max} bytes"))),
    }
}
