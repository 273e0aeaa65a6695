//! Cut anywhere and resumed, beside a slow reader among fast ones: each reader is told exactly their own story.

use futures::future::join_all;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;

async fn next(subscription: &mut Subscription) -> Value {
    let told = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("something is told");
    let told = told.unwrap().expect("the hub runs");
    let json: Value = serde_json::from_str(&told.json).unwrap();
    assert_eq!(json["seq"], told.seq);
    json
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reader_is_told_what_concerns_them_and_no_more() {
    let world = World::new().await;
    let (amina, juma) = (member(1), member(2));
    world.earn(amina, 1000).await;
    world.earn(juma, 1000).await;
    let redeemed = world.redeem(amina, 30, "duka").await;
    world.redeem(juma, 40, "kiosk").await;
    let held = world.hold(amina, 50, "duka").await;
    let voided = world.void(held).await;

    let story = world.story(&Reader::Member(amina, 1)).await;
    let types: Vec<_> = story.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["points.earned", "points.redeemed", "points.held", "points.released"]);
    assert!((1..).zip(&story).all(|(seq, it)| it["seq"] == seq && it["data"]["sequence"] == seq));
    assert_eq!(story[1]["data"]["transaction_id"], redeemed.to_string());
    assert_eq!(story[1]["data"]["change"]["available"], -30);
    assert_eq!(story[1]["data"]["balance"]["available"], 970);
    assert_eq!(story[1]["data"]["partner_id"], "duka");
    assert!(story.iter().all(|it| it["data"].get("entries").is_none()), "the other side is not theirs");

    // A hold and its end touch no account of the partner's, but the partner asked for it.
    let story = world.story(&Reader::Partner("duka".to_owned())).await;
    let told: Vec<_> = story.iter().map(|it| it["data"]["transaction_id"].as_str().unwrap()).collect();
    assert_eq!(told, [redeemed, held, voided].map(|it| it.to_string()));
    assert_eq!(story[0]["data"]["user_id"], amina.to_string());
    assert_eq!(story[0]["data"]["balance"]["available"], 30, "the settlement's, not the member's");
    assert_eq!(story[2]["data"]["follows"], held.to_string());
    assert!(story.iter().all(|it| it["data"]["balance"]["available"] != 970));

    let story = world.story(&Reader::Operator).await;
    assert_eq!(story.len(), 6);
    assert!(story.iter().all(|it| !it["data"]["entries"].as_array().unwrap().is_empty()));
    assert_eq!(world.story(&Reader::Partner("nobody".to_owned())).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_listeners_see_one_order() {
    let world = World::new().await;
    let amina = member(1);
    world.earn(amina, 1000).await;
    let reader = Reader::Member(amina, 1);
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(world.listen(&reader, None).await);
    }
    assert!(listeners.iter().all(|it| it.seq() == 1), "they begin where the account is");
    let redeems = (1..=20).map(|points| world.redeem(amina, points, "duka"));
    let all = join_all(redeems).await;
    for listener in &mut listeners {
        let mut told = Vec::new();
        for seq in 2..=21 {
            let notice = next(listener).await;
            assert_eq!(notice["seq"], seq);
            told.push(notice);
        }
        assert_eq!(told, world.story(&reader).await[1..]);
        let ids: Vec<_> = told.iter().map(|it| it["data"]["transaction_id"].as_str().unwrap()).collect();
        assert!(all.iter().all(|it| ids.contains(&it.to_string().as_str())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_does_not_keep_up_holds_up_nobody_and_is_told_every_transaction() {
    let world = World::new().await;
    let amina = member(1);
    world.earn(amina, 100_000).await;
    let reader = Reader::Member(amina, 1);
    let (mut fast, mut slow) = (world.listen(&reader, None).await, world.listen(&reader, None).await);
    world.redeem(amina, 1, "duka").await;
    assert_eq!(next(&mut slow).await["seq"], 2);
    next(&mut fast).await;
    let mut all = Vec::new();
    for points in 1..=100 {
        all.push(world.redeem(amina, points, "duka").await.to_string());
        assert_eq!(next(&mut fast).await["type"], "points.redeemed");
    }
    // What was queued comes as it is; the rest in one piece, with the newest balance and every id.
    let (mut ids, mut frames) = (Vec::new(), 0);
    let last = loop {
        let notice = next(&mut slow).await;
        frames += 1;
        match notice["data"]["transactions"].as_array() {
            None => ids.push(notice["data"]["transaction_id"].as_str().unwrap().to_owned()),
            Some(many) => {
                assert_eq!(notice["type"], "points.caught_up");
                ids.extend(many.iter().map(|it| it["transaction_id"].as_str().unwrap().to_owned()));
            }
        }
        if notice["seq"] == 102 {
            break notice;
        }
    };
    assert_eq!(ids, all);
    assert!(frames < 50, "{frames} frames are not coalesced");
    assert_eq!(last["data"]["balance"]["available"], 100_000 - 1 - 5050);
    world.redeem(amina, 7, "duka").await;
    assert_eq!(next(&mut slow).await["type"], "points.redeemed", "it keeps up again");
}

#[test]
fn cuts_and_resumes_at_random_points_give_exactly_the_story() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let members: Vec<Uuid> = (1..=3).map(member).collect();
    runtime.block_on(async {
        for one in &members {
            world.earn(*one, 1_000_000).await;
        }
    });
    let readers: Vec<Reader> = members
        .iter()
        .map(|it| Reader::Member(*it, 1))
        .chain([Reader::Partner("duka".to_owned()), Reader::Operator])
        .collect();
    let step = (0..3_usize, 1..50_i64, 0..6_usize);
    proptest!(ProptestConfig::with_cases(12), |(
        steps in prop::collection::vec(step, 1..40),
        who in 0..5_usize,
        is_from_the_start: bool,
    )| {
        runtime.block_on(async {
            let reader = &readers[who];
            let before = world.story(reader).await.len();
            let mut told = Vec::new();
            let first = is_from_the_start.then_some(0);
            let mut subscription = world.listen(reader, first).await;
            let posting = async {
                for (whose, points, _) in &steps {
                    world.redeem(members[*whose], *points, "duka").await;
                }
            };
            let cuts: Vec<usize> = steps.iter().map(|it| it.2).collect();
            let reading = async {
                let own = |whose: usize| !matches!(reader, Reader::Member(id, _) if *id != members[whose]);
                let new = steps.iter().filter(|it| own(it.0)).count();
                let total = if is_from_the_start { before + new } else { new };
                let mut cuts = cuts.iter().cycle();
                let mut left = *cuts.next().unwrap();
                while told.len() < total {
                    told.push(next(&mut subscription).await);
                    if left == 0 {
                        // Cut: what is queued is lost with the listener.
                        subscription = world.listen(reader, Some(subscription.seq())).await;
                        left = *cuts.next().unwrap();
                    } else {
                        left -= 1;
                    }
                }
            };
            tokio::join!(posting, reading);
            let story = world.story(reader).await;
            let first = if is_from_the_start { 0 } else { before };
            assert_eq!(told, story[first..]);
        });
    });
}
