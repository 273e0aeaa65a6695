mod history;
mod map;
mod properties;
mod samples;
mod vectors;
mod witness;
