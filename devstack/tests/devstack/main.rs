//! Real parts, started, killed and started again. They have to be fetched first: `devstack/fetch postgres anvil kafka`.

mod anvil;
mod kafka;
mod port;
mod postgres;
mod run;
mod standby;
mod support;
mod testing;
mod wire;
