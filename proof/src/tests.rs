mod properties;
mod samples;
mod vectors;
mod witness;
