//! Who waits to be committed.

use std::collections::{HashSet, VecDeque};

use ledger::{MemberRef, Name, Request};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use crate::committer::Job;

/// Whom requests name, as they name them.
pub(crate) type Named = HashSet<(i16, MemberRef)>;

/// Requests in the order in which they came. Those about a member whom another lane's batch is about are put off, and others pass
/// them: a batch that took them would stand still, with all that are in it, until that one is committed.
pub(crate) struct Waiting {
    put_off: VecDeque<Job>,
    jobs: mpsc::Receiver<Job>,
}

impl Waiting {
    pub(crate) fn new(jobs: mpsc::Receiver<Job>) -> Self {
        Self { put_off: VecDeque::new(), jobs }
    }

    pub(crate) fn len(&self) -> usize {
        self.put_off.len() + self.jobs.len()
    }

    /// Lets whoever was just answered ask again.
    pub(crate) async fn gather(&self) {
        gather(&self.jobs).await;
    }

    /// Waits until somebody waits. Says whether anybody ever will.
    pub(crate) async fn is_asked(&mut self) -> bool {
        if self.put_off.is_empty() {
            self.put_off.extend(self.jobs.recv().await);
        }
        !self.put_off.is_empty()
    }

    /// Takes at most so many, for a batch beside others that are about these members. Where most would be put off, as where
    /// everybody asks about one member, none is: then the batches may as well wait for each other.
    pub(crate) fn take(&mut self, most: usize, others: &Named) -> Vec<Job> {
        let (mut taken, mut put_off, mut behind) = (Vec::new(), VecDeque::new(), Named::new());
        while taken.len() + put_off.len() < most {
            let Some(job) = self.put_off.pop_front().or_else(|| self.jobs.try_recv().ok()) else { break };
            let names = named(&job.request);
            // Nobody passes another who asks about the same member.
            if names.iter().any(|it| others.contains(it) || behind.contains(it)) {
                behind.extend(names);
                put_off.push_back(job);
            } else {
                taken.push(job);
            }
        }
        if taken.len() < put_off.len() {
            taken.extend(put_off.drain(..));
        }
        put_off.append(&mut self.put_off);
        self.put_off = put_off;
        taken
    }
}

/// Whom a request names. What it finds by a posting's id it does not name, and who is named in two ways is two: then a batch
/// waits after all.
pub(crate) fn named(request: &Request) -> Vec<(i16, MemberRef)> {
    let names = request.items.iter().flat_map(|it| it.command.names());
    let members = names.filter_map(|it| match it {
        Name::Member(member) => Some((request.program, member)),
        Name::House(_) => None,
    });
    members.collect()
}

/// Lets whoever was just answered ask again, for as long as somebody does: no time passes where nobody runs.
pub(crate) async fn gather<T>(jobs: &mpsc::Receiver<T>) {
    loop {
        let waiting = jobs.len();
        yield_now().await;
        if jobs.len() == waiting {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Command, Item, Status};
    use proof::Details;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;

    fn job(member: &str) -> Job {
        let member = MemberRef::External(member.to_owned());
        let command = Command::SetStatus { member, status: Status::Active };
        let item = Item { posting_id: Uuid::nil(), command, details: Details::default() };
        Job { request: Request::one(1, String::new(), String::new(), item), answer: oneshot::channel().0 }
    }

    fn waiting(members: &str) -> Waiting {
        let (queue, jobs) = mpsc::channel(100);
        members.split(' ').for_each(|it| queue.try_send(job(it)).unwrap_or_else(|_| panic!("there is room")));
        Waiting::new(jobs)
    }

    fn taken(waiting: &mut Waiting, most: usize, others: &str) -> String {
        let others = others.split(' ').map(|it| (1, MemberRef::External(it.to_owned()))).collect();
        let names = waiting.take(most, &others).iter().flat_map(|it| named(&it.request)).collect::<Vec<_>>();
        let names = names.into_iter().map(|(_, it)| match it {
            MemberRef::External(name) => name,
            MemberRef::Id(id) => panic!("nobody is named {id}"),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_is_about_a_member_of_another_batch_lets_others_pass() {
        let mut waiting = waiting("a b c b d e");
        assert_eq!(taken(&mut waiting, 5, "b"), "a c d");
        assert_eq!(waiting.len(), 3);
        assert_eq!(taken(&mut waiting, 5, "c"), "b b e", "first those who came first");
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn nobody_passes_who_asks_about_the_same_member() {
        let (queue, jobs) = mpsc::channel(100);
        let mut waiting = Waiting::new(jobs);
        for at in 0..4 {
            let mut job = job(["a", "b", "c", "d"][at]);
            if at == 1 {
                // About two members: the second of them is nobody's yet.
                let [from, to] = ["x", "b"].map(|it| MemberRef::External(it.to_owned()));
                job.request.items[0].command = Command::Merge { from, to };
            }
            queue.try_send(job).unwrap_or_else(|_| panic!("there is room"));
        }
        queue.try_send(job("b")).unwrap_or_else(|_| panic!("there is room"));
        assert_eq!(taken(&mut waiting, 10, "x"), "a c d");
        assert_eq!(taken(&mut waiting, 10, ""), "x b b");
    }

    #[test]
    fn where_most_would_be_put_off_none_is() {
        let mut waiting = waiting("a a b a");
        assert_eq!(taken(&mut waiting, 10, "a"), "b a a a");
        assert_eq!(waiting.len(), 0);
    }
}
