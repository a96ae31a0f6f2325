//! From bytes to lines of text. Pure: nothing here touches a file.

mod block;
mod buffers;
mod encoding;
mod lines;

pub use block::{Block, Line, LineError, LineRules, LongLines, Mark};
pub use buffers::{BUFFER, Buffers};
pub use encoding::{Encoding, InvalidText};
pub use lines::{Unit, find_line_end, last_line_end};
