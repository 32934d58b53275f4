//! What is generated from the contract.

#![allow(clippy::all, dead_code)]

include!("contract/packages.rs");
include!("contract/descriptors.rs");

pub use gestalt::provider::v1::*;
