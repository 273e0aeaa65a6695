mod fuzz;
mod history;
mod map;
mod properties;
mod rfc;
mod samples;
mod vectors;
mod witness;
