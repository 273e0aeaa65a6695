//! Whether the time that a refusal takes tells a stranger that the beginning of an API key, by which it is called, is somebody's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::ensure;
use store::Environment;
use uuid::Uuid;

use super::ground::{API_KEY, PARTNER};
use super::report::{Report, Times};
use crate::load::{Client, Random, credential, written};

/// How many keys of each kind are tried.
const TRIES: u32 = 10_000;
/// From one address: an address may fail a thousand times an hour, with both kinds together.
const TRIES_EACH: u32 = 250;
/// The letters of a key by which it is called, after `lk_test_`.
const NAME: std::ops::Range<usize> = 8..16;

/// Tries wrong keys by turns, one after the other: each is written as a key is, half of them begin as a known one does.
pub(super) async fn try_keys(target: SocketAddr, seed: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut random = Random(seed);
    let mut took = [Times::default(), Times::default()];
    for number in 0..TRIES / TRIES_EACH {
        // All of 127.0.0.0/8 is this machine's own; the first of them has other failures.
        let own = IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + number));
        let mut client = Client::connect_from(own, target).await?;
        for _ in 0..TRIES_EACH {
            // Which of the two is first is drawn, so that nothing that happens every so many requests meets one kind alone.
            let first = usize::from(random.next().is_multiple_of(2));
            for kind in [first, 1 - first] {
                let key = wrong_key(kind == 0, &mut random);
                let who = credential(&key, PARTNER);
                let request = written("GET /api/v1/loyalty/balance", &who, "");
                let begin = Instant::now();
                let status = client.ask(request.as_bytes()).await?;
                took[kind].since(begin);
                ensure!(status == 401, "a wrong key is answered {status}");
            }
        }
    }
    let [known, unknown] = took.map(|it| it.at(0.5));
    report.figure("key_known_prefix_p50_ms", known, "ms to refuse a wrong key, 10,000 of each");
    report.figure("key_unknown_prefix_p50_ms", unknown, "ms");
    let ratio = known.max(unknown) / known.min(unknown);
    report.figure_at_most("key_prefix_medians_ratio", ratio, "the larger ÷ the smaller", 1.05);
    Ok(())
}

/// A key that nobody has.
fn wrong_key(is_known: bool, random: &mut Random) -> String {
    let letters = Uuid::from_u64_pair(random.next(), random.next()).simple().to_string();
    let name = if is_known { &API_KEY[NAME] } else { &letters[..NAME.len()] };
    Environment::Test.key(&format!("{name}{}", &letters[NAME.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_written_as_keys_and_differ_in_what_they_are_called() {
        let mut random = Random(1);
        for is_known in [true, false] {
            let key = wrong_key(is_known, &mut random);
            assert_eq!(Environment::of(&key), Some(Environment::Test), "{key}");
            assert_eq!(key[..NAME.end] == API_KEY[..NAME.end], is_known, "{key}");
            assert_ne!(key, API_KEY);
            assert_ne!(key, wrong_key(is_known, &mut random));
        }
    }
}
