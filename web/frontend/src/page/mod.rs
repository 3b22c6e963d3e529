//! One folder per page. A page assembles features and knows nothing of their insides.

pub mod landing;
pub mod session;
pub mod unknown;
