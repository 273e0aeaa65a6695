mod audit;
mod chain;
mod forger;
mod monitor;
mod source;
mod witness;
