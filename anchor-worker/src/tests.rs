mod anchor;
mod fixture;
mod schedule;
mod seal;
mod sim;
mod traps;
mod witnesses;
