//! The program as a user runs it, command by command: a made-up checkpoint is quantized, asked,
//! evaluated, and every kind of bad input is refused with its name, its numbers and a remedy.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod fixture;
mod models;
mod names;
mod pairs;
mod provenance;
mod quantize;
mod rank;
mod recordings;
mod settings;
mod streams;
mod texts;
