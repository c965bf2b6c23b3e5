//! A device by its URI.

pub use fqbert_open::{DEVICES, OpenError, open_device};
