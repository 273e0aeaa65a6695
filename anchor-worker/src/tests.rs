mod fixture;
mod seal;
