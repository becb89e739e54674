//! What a build tells while it goes on. How that looks to a client is not known here.

/// One thing that happened, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step of the Dockerfile begins.
    Step { number: usize, total: usize, text: String },
    /// So many triggers of the base image are executed.
    Triggers(usize),
    /// The step's image; `None`: there is none yet (`FROM scratch`).
    Image(Option<String>),
    /// The step need not be executed.
    CacheHit,
    /// A container executes the step.
    Running { container: String },
    /// The container is gone.
    Removed { container: String },
    /// What a command printed.
    Output { is_error: bool, bytes: Vec<u8> },
    /// An image is pulled.
    Pulling(carrack_images::registry::Message),
    /// Something is fetched; `total` if the server says it.
    Fetching { current: u64, total: Option<u64> },
    /// Something that the user should know.
    Note(String),
    /// A stage is complete.
    Stage { image: String },
    /// The build is complete.
    Built { image: String },
    /// The image got a name.
    Tagged { name: String },
}
