//! The core by its one door, `Books::decide`: an area a file, and in `shop` the program that all of them are about.

mod coming;
mod edges;
mod events;
mod going;
mod holds;
mod operators;
mod properties;
mod requests;
mod reversals;
mod shop;
mod tables;
mod time;
