//! What PostgreSQL warns of while it commits, above all that nobody waits for the standby any more.
//!
//! The driver hands a notice to nobody: it makes an event for the log of it, at once, on the thread that reads the
//! connection. So whoever is to hear of it listens to the log there, and only while it is read (docs/adr, "A commit with a
//! warning is unknown").

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::instrument::WithSubscriber;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// How the driver's events about notices are called.
const NOTICES: &str = "sqlx::postgres::notice";

/// An ear for one connection at a time. Made once for many commits: all of tracing learns of each.
pub struct Warnings {
    heard: Arc<AtomicBool>,
    listener: Dispatch,
    /// As long as there is only one subscriber, tracing asks that of the thread which comes first whether an event is of
    /// interest, and believes it for all threads. Of two and more it asks each.
    _another: Dispatch,
}

impl Default for Warnings {
    /// Passes on what it hears to whoever listens now.
    fn default() -> Self {
        assert!(Level::WARN <= STATIC_MAX_LEVEL, "tracing is built without warnings: nobody would hear one");
        let heard = Arc::<AtomicBool>::default();
        let listener = |heard| Dispatch::new(Listener { heard, log: Dispatch::default() });
        Self { listener: listener(heard.clone()), heard, _another: listener(Arc::default()) }
    }
}

impl Warnings {
    /// Awaits what reads a connection, and says whether PostgreSQL warned of something meanwhile.
    pub(crate) async fn during<T>(&mut self, reading: impl Future<Output = T>) -> (T, bool) {
        self.heard.store(false, Ordering::Relaxed);
        let read = reading.with_subscriber(self.listener.clone()).await;
        (read, self.heard.load(Ordering::Relaxed))
    }
}

/// Hears warnings, whatever is logged; the rest is the log's, and what it makes of it.
struct Listener {
    heard: Arc<AtomicBool>,
    log: Dispatch,
}

fn is_warning(metadata: &Metadata<'_>) -> bool {
    metadata.target() == NOTICES && *metadata.level() <= Level::WARN
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_warning(metadata) { Interest::always() } else { self.log.register_callsite(metadata) }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_warning(metadata) || self.log.enabled(metadata)
    }

    /// Where the log wants more, it has said so itself.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        if is_warning(event.metadata()) {
            self.heard.store(true, Ordering::Relaxed);
            // Nobody has asked the log yet whether it wants this one.
            if !self.log.enabled(event.metadata()) {
                return;
            }
        }
        self.log.event(event);
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.log.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.log.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.log.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.log.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.log.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.log.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.log.try_close(span)
    }
}
