mod anchor;
mod fixture;
mod seal;
mod sim;
