//! The one table of configuration keys.

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
}

/// All keys.
pub const KEYS: &[Key] = &[];
