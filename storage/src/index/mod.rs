//! The index: what rows there are, their keys and their bytes. Knows nothing of files; [`crate::Store`] is the only
//! place that brings it and the chunk store together.

pub mod keys;
pub mod records;
