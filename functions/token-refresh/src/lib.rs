//! token-refresh
