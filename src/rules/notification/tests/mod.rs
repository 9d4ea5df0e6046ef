//! Tables from Amazon's documentation and from what was recorded of it, and properties.

mod configurations;
mod messages;
