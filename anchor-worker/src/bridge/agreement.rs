//! What endpoints agree on. Whatever is believed of a gateway makes or unmakes points, so more than half of all endpoints have to
//! say it alike: one that lies, is another's or is behind never counts for the rest.

use chain::{ChainError, Gateway, GatewayTerms};
use futures::future::join_all;

use super::{BridgeError, BridgeObstacle};

/// What a gateway was made with.
pub async fn agreed_terms(endpoints: &[Gateway]) -> Result<GatewayTerms, BridgeError> {
    let ask = async |it: &Gateway| {
        it.chain().check_id().await?;
        it.terms().await
    };
    agreed(join_all(endpoints.iter().map(ask)).await, "terms of the gateway")
}

/// The newest block that more than half of all endpoints call final, where each would have it at least so deep.
pub(super) async fn agreed_final(
    endpoints: &[Gateway],
    depth_min: u64,
    depth_alone: u64,
) -> Result<Option<u64>, BridgeError> {
    let ask = async |it: &Gateway| {
        it.chain().check_id().await?;
        let latest = it.chain().latest_block().await?;
        let finalized = it.chain().finalized_block().await?;
        Ok::<_, ChainError>(match finalized {
            Some(finalized) => Some(finalized.min(latest.saturating_sub(depth_min))),
            None => latest.checked_sub(depth_alone),
        })
    };
    let mut failure = None;
    let mut claims = Vec::new();
    for answer in join_all(endpoints.iter().map(ask)).await {
        match answer {
            Ok(claim) => claims.extend(claim),
            Err(error) => failure = Some(error),
        }
    }
    match (newest_of_most(claims, endpoints.len()), failure) {
        (Some(block), _) => Ok(Some(block)),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Ok(None),
    }
}

/// What holders could spend before this block; none where too few endpoints keep the state of then.
pub(super) async fn supply_before(
    endpoints: &[Gateway],
    points: &[u8; 20],
    block: u64,
) -> Result<Option<u64>, BridgeError> {
    let ask = async |it: &Gateway| match it.supply(points, &[], block.saturating_sub(1)).await {
        // There was no token yet.
        Err(ChainError::NoContract(_)) => Ok(0),
        supply => supply.map(|it| it.unexpired),
    };
    let answers = join_all(endpoints.iter().map(ask)).await;
    let has_forgotten = |it: &Result<u64, ChainError>| matches!(it, Err(ChainError::Refused(_)));
    let have_all_answered = answers.iter().all(|it| it.is_ok() || has_forgotten(it));
    let is_forgotten = have_all_answered && answers.iter().any(has_forgotten);
    match agreed(answers, "supply") {
        Err(_) if is_forgotten => Ok(None),
        supply => supply.map(Some),
    }
}

/// The newest block that more than half of so many endpoints have come to.
fn newest_of_most(mut claims: Vec<u64>, endpoints: usize) -> Option<u64> {
    claims.sort_unstable_by_key(|it| std::cmp::Reverse(*it));
    claims.get(endpoints / 2).copied()
}

/// What more than half of all answers are, alike.
pub(super) fn agreed<T: PartialEq>(
    answers: Vec<Result<T, ChainError>>,
    what: impl Into<String>,
) -> Result<T, BridgeError> {
    let endpoints = answers.len();
    let mut groups: Vec<(usize, T)> = Vec::new();
    let mut failure = None;
    for answer in answers {
        match answer {
            Ok(shown) => match groups.iter_mut().find(|it| it.1 == shown) {
                Some(group) => group.0 += 1,
                None => groups.push((1, shown)),
            },
            Err(error) => failure = Some(error),
        }
    }
    match (groups.into_iter().max_by_key(|it| it.0), failure) {
        (Some((count, shown)), _) if endpoints < 2 * count => Ok(shown),
        (_, Some(error)) => Err(error.into()),
        (best, None) => {
            let agreed = best.map_or(0, |it| it.0);
            Err(BridgeObstacle::Disagreement { agreed, endpoints, what: what.into() }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_final_where_most_say_so() {
        let check = |claims: &[u64], endpoints, expected| {
            assert_eq!(newest_of_most(claims.to_vec(), endpoints), expected, "{claims:?} of {endpoints}");
        };
        check(&[7], 1, Some(7));
        check(&[7, 9], 2, Some(7));
        check(&[900, 7, 8], 3, Some(8));
        check(&[9, 9, 1], 3, Some(9));
        check(&[900, 900, 7, 8], 4, Some(8));
        // The silent ones count as well.
        check(&[9, 9], 3, Some(9));
        check(&[9], 2, None);
        check(&[], 1, None);
    }

    #[test]
    fn more_than_half_of_all_must_say_the_same() {
        let silent = || Err(ChainError::Refused("it is away".to_owned()));
        let check = |answers: Vec<Result<u8, ChainError>>, expected: Result<u8, &str>| match (
            agreed(answers, "number"),
            expected,
        ) {
            (Ok(told), Ok(expected)) => assert_eq!(told, expected),
            (Err(told), Err(expected)) => assert!(told.to_string().contains(expected), "{told}"),
            (told, expected) => panic!("{told:?} is not {expected:?}"),
        };
        check(vec![Ok(1)], Ok(1));
        check(vec![Ok(1), Ok(2), Ok(2)], Ok(2));
        check(vec![silent(), Ok(2), Ok(2)], Ok(2));
        check(vec![Ok(1), Ok(2)], Err("only 1 of 2 endpoints show the same number"));
        check(vec![Ok(1), silent()], Err("it is away"));
    }
}
