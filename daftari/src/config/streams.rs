//! How many streams a process has open.

use api::StreamLimits;
use clap::Args;

use super::Span;

/// How many streams this process has open: WebSockets and server-sent events of `/api/v1/loyalty/stream`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Streams {
    /// How many streams there may be. The process must be allowed as many open files, and those that it needs besides.
    #[arg(long, env = "STREAMS_MAX", default_value_t = StreamLimits::USUAL.open)]
    pub(crate) streams_max: usize,
    /// How many of them one client may have: a partner, or an app, for all members that it speaks for. Other processes count theirs.
    #[arg(long, env = "STREAMS_PER_CLIENT", default_value_t = StreamLimits::USUAL.of_client)]
    pub(crate) streams_per_client: usize,
    /// How many of them one member may have. Other processes count theirs.
    #[arg(long, env = "STREAMS_PER_MEMBER", default_value_t = StreamLimits::USUAL.of_member)]
    pub(crate) streams_per_member: usize,
    /// How many WebSockets there may be besides on which nobody has said yet who they are; a tenth of them from one address.
    #[arg(long, env = "STREAM_STRANGERS_MAX", default_value_t = StreamLimits::USUAL.strangers)]
    pub(crate) stream_strangers_max: usize,
    /// How long it may take to say that.
    #[arg(long, env = "STREAM_GREETING_TIME", default_value = "5s")]
    pub(crate) stream_greeting_time: Span,
}

impl Streams {
    /// The same, as the API takes it.
    pub(crate) fn limits(&self) -> StreamLimits {
        StreamLimits {
            open: self.streams_max,
            of_client: self.streams_per_client,
            of_member: self.streams_per_member,
            strangers: self.stream_strangers_max,
            greeting: self.stream_greeting_time.0,
        }
    }
}
