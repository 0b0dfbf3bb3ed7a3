//! Whether this process is still the one that started.

/// The process something belongs to. A fork makes everything that was inherited foreign: a child must neither settle nor
/// reserve with it, nor touch its locks, which another thread of the parent may have held at the moment of the fork.
#[derive(Debug, Clone, Copy)]
pub struct ForkGeneration {
    born: u64,
    generation: fn() -> u64,
}

impl ForkGeneration {
    /// The running process; `generation` counts the forks that led to it.
    pub fn here(generation: fn() -> u64) -> Self {
        Self { born: generation(), generation }
    }

    /// Whether the process was forked since.
    pub fn is_forked(&self) -> bool {
        (self.generation)() != self.born
    }
}
