//! Placeholder so the workspace resolves.
