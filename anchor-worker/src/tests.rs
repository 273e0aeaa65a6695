mod anchor;
mod fixture;
mod seal;
